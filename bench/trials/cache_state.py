"""Brings files into a warm or cold cache, and proves it by the bytes read from the disk.

Of files it is the page cache. Of objects it is the local cache of objects, proven by the bytes that
came over the network; what the server has in its memory is not controlled. Cold objects need not be
evicted: the processes of a trial fetch each one, whether it is in the cache or not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from mmap import PAGESIZE

import numpy as np
import psutil
from numpy.typing import NDArray

from feedbench.bench.consumers.base import Consumer
from feedbench.bench.errors import PlanError
from feedbench.bench.record import CacheState, TimedBlock
from feedbench.loaders import (
    Batch,
    Manifest,
    amount,
    drop_cached,
    extent_of,
    fetched_bytes,
    file_of,
    file_sizes,
    is_remote,
    object_cache_bytes,
    open_regular,
    read_file,
    read_into_cache,
    stamp_of,
)

# Fractions of the consumed files' bytes that were read from the disk. Prefetch buffers that grow
# during a block, and read-ahead, shift the cold fraction by a few percent; lazily loaded libraries
# shift the warm one.
MIN_COLD = 0.9
MAX_WARM = 0.03
# Of objects, each of which is fetched whether it is cached or not: in a short block, those that
# were fetched before it began may be many.
MIN_FETCHED = 0.5
_CHUNK_BYTES = 1 << 20
_TEST_FILES = 8  # files that are evicted to find out whether eviction works
_MEAN_FILES = 20_000  # whose sizes give the mean, where rows are unknown
_CHUNK_ROWS = 4096  # whose paths are Python objects at a time


class Files:
    """The files of a manifest, as far as the page cache is concerned."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._sizes = np.zeros(
            len(manifest), np.int64
        )  # 0 where it is not known yet, else size + 1
        self._synced = False

    def bring_into(self, state: CacheState | None) -> None:
        """Bring all files into a cache state; None leaves them as they are."""
        if state == "warm":
            self.warm()
        elif state == "cold" and not self._manifest.is_remote:
            self.evict(sync=not self._synced)
            self._synced = True

    def evict(self, rows: NDArray[np.int64] | None = None, *, sync: bool = False) -> None:
        """Drop the pages of the files of some rows, or of all rows; ignore missing files."""
        paths = self._whole_files() if rows is None else self._manifest.paths(rows)
        evict(paths, sync=sync)

    def warm(self) -> None:
        """Read every file once, so that its pages are in memory."""
        if self._manifest.is_remote:
            read_into_cache(self._addresses())
            return
        for path in self._whole_files():
            with suppress(OSError), os.fdopen(open_regular(path), "rb", buffering=0) as file:
                while file.read(_CHUNK_BYTES):
                    pass

    def size(self, taken: Sequence[int] | NDArray[np.int64]) -> int:
        """Return the total bytes of the files of some rows; repeated rows count repeatedly."""
        rows = np.asarray(taken, np.int64)
        new = np.unique(rows[self._sizes[rows] == 0])
        self._sizes[new] = file_sizes(self._manifest, new) + 1
        return int(self._sizes[rows].sum()) - len(rows)

    def expected_size(self, images: int) -> int:
        """Return the bytes of this many files of the mean size; of very many, that of a sample."""
        rows = np.arange(len(self._manifest))
        if len(rows) > _MEAN_FILES:
            rows = np.random.default_rng(0).choice(len(rows), _MEAN_FILES, replace=False)
        return round(images * self.size(rows) / len(rows))

    def folders(self) -> set[bytes]:
        """Return the folders of all files."""
        return {os.path.split(path)[0] for path in self._addresses()}

    def _addresses(self) -> Iterator[bytes]:
        """Yield the address of each row; as Python objects, all would take 100 bytes each."""
        for begin in range(0, len(self._manifest), _CHUNK_ROWS):
            end = min(begin + _CHUNK_ROWS, len(self._manifest))
            yield from self._manifest.paths(np.arange(begin, end))

    def _whole_files(self) -> Iterator[bytes]:
        """Yield each file; shards once, and so files whose rows follow one another."""
        last, shards = b"", set[bytes]()
        for path in map(file_of, self._addresses()):
            if path != last and path not in shards:
                yield path
                last = path
                if self._manifest.in_shards:
                    shards.add(path)


class Recorded:
    """Wraps a consumer: records the rows that it takes, and evicts their files if it must be cold.

    Without the eviction, the second epoch of a block would be read from memory. It takes about
    13 µs per file, which count as the consumer's time.

    Attributes:
        rows: taken since the list was last cleared; empty if the batches do not say them.
    """

    def __init__(self, consumer: Consumer, manifest: Manifest, state: CacheState) -> None:
        self.rows: list[int] = []
        self._consumer = consumer
        self._files = Files(manifest)
        self._evicts = state == "cold" and not manifest.is_remote

    def step(self, batch: Batch) -> None:
        """Pass the batch to the consumer, then evict its files if they must be cold."""
        self._consumer.step(batch)
        if batch.rows is None:  # of an own loader: which files it reads is unknown
            return
        self.rows += batch.rows.tolist()
        if self._evicts:
            self._files.evict(batch.rows)

    def finish(self) -> None:
        """Wait until the consumer's device is idle."""
        self._consumer.finish()


def unproven_reason(state: CacheState | None, block: TimedBlock) -> str | None:
    """Return why a block's cache state is not proven; None if it is, or if none was requested."""
    if state is None:
        return None
    is_fetched = block.fetched_bytes is not None
    read = block.fetched_bytes if is_fetched else block.disk_read_bytes
    if read is None or not block.consumed_bytes:
        return f"{state} not proven: the system does not report bytes read from the disk"
    fraction, place = (
        read / block.consumed_bytes,
        "over the network" if is_fetched else "from the disk",
    )
    if state == "cold" and fraction < (MIN_FETCHED if is_fetched else MIN_COLD):
        return f"not cold: {fraction:.0%} of the bytes came {place}"
    if state == "warm" and fraction > MAX_WARM:
        return f"not warm: {fraction:.0%} of the bytes came {place}"
    return None


def check_state(state: CacheState | None, manifest: Manifest) -> None:
    """Check that the files of a manifest can be brought into a cache state, if one is asked for.

    Raises:
        PlanError: they cannot.
    """
    if state == "cold":
        check_cold(manifest)
    elif state == "warm":
        check_warm(manifest)


def check_warm(manifest: Manifest) -> None:
    """Check that all objects of a manifest fit into their local cache.

    Raises:
        PlanError: they do not.
    """
    if not manifest.is_remote:
        return
    size, limit = Files(manifest).expected_size(len(manifest)), object_cache_bytes()
    if size > limit:
        raise PlanError(
            f"--cache-state warm: {manifest.root}: its images have {amount(size)}, and the local "
            f"cache holds {amount(limit)}; set FEEDBENCH_OBJECT_CACHE_GB to more"
        )


def check_cold(manifest: Manifest) -> None:
    """Check that the files of a manifest can be evicted from the page cache.

    Raises:
        PlanError: they stay in memory, or the system does not report bytes read from the disk.
    """
    rows = np.linspace(0, len(manifest) - 1, min(_TEST_FILES, len(manifest))).astype(np.int64)
    if reason := _not_evictable(manifest.paths(np.unique(rows))):
        raise PlanError(f"--cache-state cold: {manifest.root}: {reason}")


def _not_evictable(paths: list[bytes]) -> str | None:
    """Evict some files and read them; return why they did not come from the disk, or None."""
    if any(map(is_remote, paths)):
        return _not_droppable(paths)
    if sys.platform != "linux":
        return f"files can be evicted from the page cache only on Linux, not on {sys.platform}"
    evict(paths, sync=True)  # pages of a file that was just written are dropped only after a sync
    before = read_bytes()
    for path in paths:
        with suppress(OSError):
            read_file(path)
    after = read_bytes()
    if before is None or after is None:
        return "the system does not report bytes read from the disk, so cold could not be proven"
    if after - before < MIN_COLD * sum(_size(path) for path in paths):
        return (
            "after eviction its files are not read from a local disk; it is a network share, in "
            "memory, or cached by another program"
        )
    return None


def _not_droppable(paths: list[bytes]) -> str | None:
    """Drop some objects from the local cache and read them; return why they were not fetched."""
    evict(paths, sync=False)
    before = fetched_bytes(os.getpid()) or 0
    for path in paths:
        with suppress(OSError):
            read_file(path)
    fetched = (fetched_bytes(os.getpid()) or 0) - before
    if fetched < MIN_COLD * sum(_size(path) for path in paths):
        return "after they were dropped from the local cache, its objects could not be fetched"
    return None


def evict(paths: Iterable[bytes], *, sync: bool) -> None:
    """Drop the pages of files from the page cache, which needs no privilege; ignore missing files.

    Objects are dropped from their local cache.

    Args:
        sync: write each file to the disk first, because only clean pages can be dropped, and drop
            all of a shard: pages that were written together may be dropped only together. This
            costs several times as much as the eviction; once is enough for files that are only
            read.
    """
    shards = set[bytes]()
    for path in paths:
        if is_remote(path):
            drop_cached(path)
            continue
        if sync and extent_of(path) is not None:
            path = file_of(path)
            if path in shards:
                continue
            shards.add(path)
        _drop_pages(path, sync=sync)


def _drop_pages(path: bytes, *, sync: bool) -> None:
    with suppress(OSError):
        file = open_regular(file_of(path))
        try:
            if sync:
                os.fsync(file)
            os.posix_fadvise(file, *_pages(path), os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def read_bytes() -> int | None:
    """Return the bytes that this process has read from the disk itself; None if unknown."""
    with suppress(AttributeError, psutil.AccessDenied):
        return int(psutil.Process().io_counters().read_bytes)
    return None


def _size(path: bytes) -> int:
    with suppress(OSError):
        return stamp_of(path)[0]
    return 0


def _pages(path: bytes) -> tuple[int, int]:
    """Begin and length of the whole pages that hold an image; zeros for a file of its own.

    Pages that are dropped only in part stay, so those that it shares with its neighbours go too.
    """
    extent = extent_of(path)
    if extent is None:
        return 0, 0
    begin = extent.offset - extent.offset % PAGESIZE
    end = extent.offset + extent.length
    return begin, -(-end // PAGESIZE) * PAGESIZE - begin
