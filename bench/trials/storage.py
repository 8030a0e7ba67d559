"""The rate at which storage delivers images, by cache state and number of concurrent reads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.record import CacheState
from feedbench.bench.trials.cache_state import Files
from feedbench.loaders import Manifest
from feedbench.loaders.stages import Reading

DEPTHS = (1, 4, 16)  # concurrent reads
_WARM_IMAGES = 1024  # read over and over while warm
_QUEUED_PER_READ = 64  # images queued per concurrent read
Rows = NDArray[np.int64]


class ReadResult(NamedTuple):
    """The images read in one timed block, the time they took and their total size."""

    images: int
    seconds: float
    bytes: int


class Storage:
    """Reads images in a random order, on several threads at once."""

    def __init__(self, manifest: Manifest, reading: Reading, seed: int = 0) -> None:
        self._reading = reading
        self._manifest = manifest
        self._files = Files(manifest)
        order = np.random.default_rng(seed).permutation(len(manifest))
        self._endless_rows = cycle(order.tolist())
        self._warm_rows = order[:_WARM_IMAGES]
        self._synced: set[int] = set()

    def prepare(self, state: CacheState) -> None:
        """Load the images of a warm block into the page cache; `read` evicts cold files itself."""
        if state == "warm":
            for item in self._reading.find(self._warm_rows):
                self._reading.read(item)

    def read(self, state: CacheState, depth: int, seconds: float) -> ReadResult:
        """Read images for at least `seconds`, with `depth` concurrent reads.

        Evicting files before a cold read is not timed.
        """
        images, size, spent = 0, 0, 0.0
        with ThreadPoolExecutor(depth) as threads:
            list(threads.map(len, [()] * depth))  # starts the threads before the clock does
            while spent < seconds:
                items = self._reading.find(self._next_rows(state, _QUEUED_PER_READ * depth))
                begin = perf_counter()
                sizes = list(threads.map(self._reading.read, items))
                spent += perf_counter() - begin
                images, size = images + len(sizes), size + sum(sizes)
        return ReadResult(images, spent, size)

    def _next_rows(self, state: CacheState, count: int) -> Rows:
        """The rows to read next; the files of cold rows have just been evicted."""
        if state == "warm":
            return self._warm_rows
        count = min(len(self._manifest), count)
        rows = np.array(list(islice(self._endless_rows, count)), np.int64)
        unsynced = [row for row in rows.tolist() if row not in self._synced]
        self._files.evict(np.array(unsynced, np.int64), sync=True)
        self._synced.update(unsynced)
        self._files.evict(rows)
        return rows
