"""The rate at which storage delivers images, by cache state and number of concurrent reads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.errors import TrialError
from feedbench.bench.record import CacheState
from feedbench.bench.trials.cache_state import Files
from feedbench.loaders import Manifest
from feedbench.loaders.stages import Reading

DEPTHS = (1, 4, 16)  # concurrent reads
_WARM_IMAGES = 1024  # read over and over while warm
_FIRST, _MOST = 2, 64  # images queued per concurrent read, at first and at most
Rows = NDArray[np.int64]


class ReadResult(NamedTuple):
    """The images read in one timed block.

    Attributes:
        seconds: that they took.
        bytes: their total size.
        cpu_s: CPU seconds of the reads, without eviction and preparation.
    """

    images: int
    seconds: float
    bytes: int
    cpu_s: float

    def plus(self, more: ReadResult) -> ReadResult:
        """Return both results together."""
        return ReadResult(
            self.images + more.images,
            self.seconds + more.seconds,
            self.bytes + more.bytes,
            self.cpu_s + more.cpu_s,
        )


class Storage:
    """Reads images in a random order, on several threads at once.

    Attributes:
        files: of the images.
    """

    def __init__(
        self, manifest: Manifest, reading: Reading, *, processes: int = 1, seed: int = 0
    ) -> None:
        """Prepare to read.

        Args:
            manifest: the images.
            reading: how to read one.
            processes: over which concurrent reads are spread. They are forked here. In a single
                process, Python's lock limits how many reads are in flight.
            seed: of the order of the reads.
        """
        self._reading = reading
        self._manifest = manifest
        self.files = Files(manifest)
        order = np.random.default_rng(seed).permutation(len(manifest))
        self._endless_rows = cycle(order.tolist())
        self._warm_rows = order[:_WARM_IMAGES]
        self._synced: set[int] = set()
        self._processes = [_forked(reading) for _ in range(processes)] if processes > 1 else []

    def prepare(self, state: CacheState) -> None:
        """Load the images of a warm block into the page cache; `read` evicts cold files itself."""
        if state == "warm":
            for item in self._reading.find(self._warm_rows):
                self._reading.read(item)

    def read(self, state: CacheState, depth: int, seconds: float) -> ReadResult:
        """Read images for at least `seconds`, with `depth` concurrent reads.

        Evicting files before a cold read is not timed.
        """
        total = ReadResult(0, 0.0, 0, 0.0)
        queued = _FIRST * depth
        while total.seconds < seconds:
            done = self._read_rows(self._next_rows(state, queued), depth)
            total = total.plus(done)
            left_s = seconds - total.seconds
            enough = int(total.images / total.seconds * left_s) + 1
            queued = min(max(enough, _FIRST * depth), _MOST * depth)
        return total

    def _read_rows(self, rows: Rows, depth: int) -> ReadResult:
        """Read some images once."""
        if depth == 1 or not self._processes:
            with _ready(self._reading, rows, depth) as read:
                begin = perf_counter()
                size, cpu_s = read()
                return ReadResult(len(rows), perf_counter() - begin, size, cpu_s)
        try:
            return _read_together(self._processes[:depth], rows, depth)
        except (EOFError, ConnectionError) as error:
            raise TrialError(
                "a process that reads was ended, as the system does when memory runs out; "
                "free some memory"
            ) from error

    def _next_rows(self, state: CacheState, count: int) -> Rows:
        """The rows to read next; the files of cold rows have just been evicted."""
        if state == "warm":
            return self._warm_rows
        count = min(len(self._manifest), count)
        rows = np.array(list(islice(self._endless_rows, count)), np.int64)
        unsynced = [row for row in rows.tolist() if row not in self._synced]
        self.files.evict(np.array(unsynced, np.int64), sync=True)
        self._synced.update(unsynced)
        self.files.evict(rows)
        return rows


@contextmanager
def _ready(
    reading: Reading, rows: Sequence[int] | Rows, depth: int
) -> Iterator[Callable[[], tuple[int, float]]]:
    """Yield a function that reads the images and returns their bytes and the CPU seconds."""
    items = reading.find(np.asarray(rows, np.int64))

    def read() -> tuple[int, float]:
        begin = process_time()
        size = sum(threads.map(reading.read, items))
        return size, process_time() - begin

    with ThreadPoolExecutor(depth) as threads:
        list(threads.map(len, [()] * depth))  # starts the threads before the clock does
        yield read


def _read_together(pipes: Sequence[Any], rows: Rows, depth: int) -> ReadResult:
    """Read some images once, by processes that begin at the same time.

    Args:
        pipes: from `_forked`.
    """
    for number, pipe in enumerate(pipes):
        pipe.send((rows[number :: len(pipes)], -(-(depth - number) // len(pipes))))
    for pipe in pipes:
        pipe.recv()
    begin = perf_counter()
    for pipe in pipes:
        pipe.send("read")
    sizes, cpus_s = zip(*(pipe.recv() for pipe in pipes), strict=True)
    return ReadResult(len(rows), perf_counter() - begin, sum(sizes), sum(cpus_s))


def _forked(reading: Reading) -> Any:
    """Return the pipe to a process that reads images on request."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    context.Process(target=_serve, args=(theirs, reading), daemon=True).start()
    return ours


def _serve(pipe: Any, reading: Reading) -> None:
    with suppress(EOFError):
        while True:
            rows, depth = pipe.recv()
            with _ready(reading, rows, depth) as read:
                pipe.send("ready")
                pipe.recv()
                pipe.send(read())
