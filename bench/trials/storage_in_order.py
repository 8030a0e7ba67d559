"""The rate at which shards deliver their images one after the other, as they lie in the file.

Readers of whole shards (WebDataset, `TFRecordDataset`) read this way: few large reads, for which
the system and a network drive read ahead. Loaders here read images at random.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import cycle, groupby, islice
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from feedbench.bench.record import CacheState
from feedbench.bench.trials.cache_state import evict
from feedbench.bench.trials.storage import ReadResult
from feedbench.loaders import Manifest, extent_of, file_of

_PIECE = 512  # images evicted at a time, before they are read
_BUFFER_BYTES = 1 << 20


class InOrder:
    """Reads the images of shards in their order, with one read at a time."""

    def __init__(self, manifest: Manifest) -> None:
        self._paths = sorted(manifest.paths(np.arange(len(manifest))), key=_place)
        self._endless = cycle(self._paths)

    def read(self, state: CacheState, seconds: float) -> ReadResult:
        """Read images for at least `seconds`; evicting them before a cold read is not timed."""
        total = ReadResult(0, 0.0, 0, 0.0)
        while total.seconds < seconds:
            paths = list(islice(self._endless, min(_PIECE, len(self._paths))))
            if state == "cold":
                evict(paths, sync=True)
            else:
                _read(paths)
            begin, cpu_s = perf_counter(), process_time()
            size = _read(paths)
            used_s = process_time() - cpu_s
            total = total.plus(ReadResult(len(paths), perf_counter() - begin, size, used_s))
        return total


def _place(path: bytes) -> tuple[bytes, int]:
    extent = extent_of(path)
    return file_of(path), extent.offset if extent else 0


def _read(paths: list[bytes]) -> int:
    return sum(_read_shard(name, addresses) for name, addresses in groupby(paths, file_of))


def _read_shard(name: bytes, addresses: Iterator[bytes]) -> int:
    """Read the extents in a shard, one that several images share once; return the images' bytes."""
    size, last = 0, -1
    with Path(os.fsdecode(name)).open("rb", buffering=_BUFFER_BYTES) as file:
        for extent in filter(None, map(extent_of, addresses)):
            if extent.offset != last:
                file.seek(extent.offset)
                file.read(extent.length)
            size, last = size + extent.size, extent.offset
    return size
