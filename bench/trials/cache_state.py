"""The page cache as a measurement needs it, warm or cold, and what proves that it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from feedbench.bench.consumers.base import Consumer
from feedbench.bench.errors import PlanError
from feedbench.bench.record import CacheState
from feedbench.loaders import Batch, Manifest

# Shares of the consumed files' bytes that came from the disk. A buffer that is fuller at the end of
# a block than at its start, or a read ahead, moves the one by a few percent, a
# library that is loaded late the other.
LEAST_COLD = 0.9
MOST_WARM = 0.03
_CHUNK = 1 << 20
_PROBED = 8  # files by which it is found out whether any can be evicted


class Files:
    """A manifest's files as the page cache sees them."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._sizes = np.full(len(manifest), -1, np.int64)

    def evict(self, rows: NDArray[np.int64] | None = None, *, sync: bool = False) -> None:
        """Drop the pages of some rows' files, or of all; what is missing is passed over."""
        evict(self._paths(rows), sync=sync)

    def warm(self) -> None:
        """Read every file once, so that its pages are in memory."""
        for path in self._paths(None):
            with suppress(OSError), Path(os.fsdecode(path)).open("rb", buffering=0) as file:
                while file.read(_CHUNK):
                    pass

    def size(self, rows: NDArray[np.int64]) -> int:
        """Bytes of these rows' files; one that comes twice counts twice."""
        new = np.unique(rows[self._sizes[rows] < 0])
        for row, path in zip(new.tolist(), self._manifest.paths(new), strict=True):
            self._sizes[row] = _size(path)
        return int(self._sizes[rows].sum())

    def _paths(self, rows: NDArray[np.int64] | None) -> list[bytes]:
        chosen = np.arange(len(self._manifest)) if rows is None else rows
        return self._manifest.paths(chosen)


class Watched:
    """A consumer whose files are counted, and evicted as soon as it has their batch.

    Without that the second epoch of a block would come from memory. Evicting takes about 13 µs a
    file, which count as the consumer's.
    """

    def __init__(self, consumer: Consumer, files: Files, state: CacheState) -> None:
        self._consumer = consumer
        self._files = files
        self._cold = state == "cold"
        self._rows: list[NDArray[np.int64]] = []

    def step(self, batch: Batch) -> None:
        """Hand the batch on."""
        self._consumer.step(batch)
        self._rows.append(batch.rows)
        if self._cold:
            self._files.evict(batch.rows)

    def finish(self) -> None:
        """Return when the device has done all that it was given."""
        self._consumer.finish()

    def begin_block(self, *, warm_again: bool = False) -> None:
        """Bring the files into their state, and count from here.

        Args:
            warm_again: read every file again, since others have evicted some.
        """
        if warm_again and not self._cold:
            self._files.warm()
        if self._cold:
            self._files.evict(sync=True)
        self._rows.clear()

    def consumed_bytes(self) -> int:
        """Of the files in the batches since the block began."""
        return self._files.size(np.concatenate([np.empty(0, np.int64), *self._rows]))


def unproven(state: CacheState | None, read: int | None, consumed: int | None) -> str | None:
    """Why a block's cache state is not proven; None where it is, or none was asked for.

    Args:
        read: bytes that came from the disk; None where the system does not tell.
        consumed: bytes of the files in the block's batches.
    """
    if state is None:
        return None
    if read is None or not consumed:
        return f"{state} not proven: the system does not tell what is read from the disk"
    share = read / consumed
    if state == "cold" and share < LEAST_COLD:
        return f"not cold: {share:.0%} of the bytes came from the disk"
    if state == "warm" and share > MOST_WARM:
        return f"not warm: {share:.0%} of the bytes came from the disk"
    return None


def check_cold(manifest: Manifest) -> None:
    """Refuse to measure cold where files cannot be evicted.

    Raises:
        PlanError: they stay in memory, or the system does not tell.
    """
    rows = np.linspace(0, len(manifest) - 1, min(_PROBED, len(manifest))).astype(np.int64)
    if reason := _stays(manifest.paths(np.unique(rows))):
        raise PlanError(f"--cache-state cold: {manifest.root}: {reason}")


def _stays(paths: list[bytes]) -> str | None:
    """Why files cannot be evicted; None where they can: found out by doing it."""
    if sys.platform != "linux":
        return f"files cannot be evicted from the page cache on {sys.platform}; only on Linux"
    # A file that was just written may be evicted only once it is on the disk: evict syncs it.
    evict(paths, sync=True)
    before = read_bytes()
    for path in paths:
        with suppress(OSError):
            Path(os.fsdecode(path)).read_bytes()
    after = read_bytes()
    if before is None or after is None:
        return "the system does not tell what is read from the disk, so cold could not be proven"
    if after - before < LEAST_COLD * sum(_size(path) for path in paths):
        return (
            "after eviction its files are not read from a local disk; it is a network share, in "
            "memory, or in another program's cache"
        )
    return None


def evict(paths: Iterable[bytes], *, sync: bool) -> None:
    """Drop files' pages from the page cache; it needs no privilege. Missing files are passed over.

    Args:
        sync: write each to the disk first: only clean pages can be dropped. It costs several times
            what evicting does, and a file that nobody writes needs it once.
    """
    for path in paths:
        with suppress(OSError):
            file = os.open(path, os.O_RDONLY)
            try:
                if sync:
                    os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def read_bytes() -> int | None:
    """Bytes that this process has read from the disk itself; None where the system hides it."""
    with suppress(AttributeError, psutil.AccessDenied):
        return int(psutil.Process().io_counters().read_bytes)
    return None


def _size(path: bytes) -> int:
    with suppress(OSError):
        return os.stat(path).st_size
    return 0
