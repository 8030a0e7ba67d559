"""A loader's stages as the diagnosis measures them; reading by state of the page cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from time import perf_counter
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.errors import PlanError
from feedbench.bench.record import CacheState
from feedbench.bench.trials.cache_state import Files, check_cold
from feedbench.loaders import BatchSpec, Loader, Manifest, Settings
from feedbench.loaders.stages.stage import Reading, Stage, Stages, whole_files

DEPTHS = (1, 4, 16)  # reads under way at once
_WARM = 1024  # images that are read warm, again and again
StageName = Literal["decode", "transform", "assemble"]
Rows = NDArray[np.int64]


def stages_of(loader: Loader, manifest: Manifest, spec: BatchSpec, settings: Settings) -> Stages:
    """A loader's stages; of one that declares none only the reading of its files.

    Raises:
        LoaderError: what it reads does not fit the rows or the spec.
    """
    if loader.stages is None:
        return Stages(whole_files(manifest))
    return loader.stages(manifest, spec, settings)


def measured_stages(stages: Stages) -> list[tuple[StageName, Stage]]:
    """The stages after reading that there are, in the order in which an image passes them."""
    found: list[tuple[StageName, Stage | None]] = [
        ("decode", stages.decode),
        ("transform", stages.transform),
        ("assemble", stages.assemble),
    ]
    return [(name, stage) for name, stage in found if stage is not None]


def counts_of(stages: Stages, name: StageName, cores: int) -> list[int]:
    """The numbers of cores on which a stage is measured: one, and all where it uses them."""
    if name == "assemble" and not stages.assembles_in_parallel:
        return [1]
    return sorted({1, cores})


def encoded_bytes(stages: Stages, manifest: Manifest) -> int:
    """Bytes of all files of a manifest, or of all its rows in the pack that a loader reads."""
    if stages.reading is not None and stages.reading.pack_bytes is not None:
        return stages.reading.pack_bytes
    return Files(manifest).size(np.arange(len(manifest)))


def why_not_cold(stages: Stages, manifest: Manifest) -> str | None:
    """Why a loader's reading cannot be measured cold; None where it can."""
    if stages.reading is None:
        return "--cache-state cold: with its cache full the loader reads no files"
    if stages.reading.pack_bytes is not None:
        return "--cache-state cold: the loader reads a pack, and only single files can be evicted"
    try:
        check_cold(manifest)
    except PlanError as error:
        return str(error)
    return None


class Read(NamedTuple):
    """What was read in one block."""

    images: int
    seconds: float
    bytes: int


class Storage:
    """Reads images in a random order, many at once."""

    def __init__(self, manifest: Manifest, reading: Reading, seed: int = 0) -> None:
        self._reading = reading
        self._manifest = manifest
        self._files = Files(manifest)
        order = np.random.default_rng(seed).permutation(len(manifest))
        self._rows = cycle(order.tolist())
        self._kept = order[:_WARM]
        self._synced: set[int] = set()

    def prepare(self, state: CacheState) -> None:
        """Read what is to be read warm; cold files are evicted piece by piece."""
        if state == "warm":
            for item in self._reading.find(self._kept):
                self._reading.read(item)

    def read(self, state: CacheState, depth: int, seconds: float) -> Read:
        """Read for at least so many seconds; evicting files is not timed."""
        images, size, spent = 0, 0, 0.0
        with ThreadPoolExecutor(depth) as threads:
            list(threads.map(len, [()] * depth))  # threads are there before the clock runs
            while spent < seconds:
                items = self._reading.find(self._next(state, 64 * depth))
                begin = perf_counter()
                sizes = list(threads.map(self._reading.read, items))
                spent += perf_counter() - begin
                images, size = images + len(sizes), size + sum(sizes)
        return Read(images, spent, size)

    def _next(self, state: CacheState, count: int) -> Rows:
        if state == "warm":
            return self._kept
        rows = np.array(list(islice(self._rows, min(len(self._manifest), count))), np.int64)
        new = [row for row in rows.tolist() if row not in self._synced]
        self._files.evict(np.array(new, np.int64), sync=True)
        self._synced.update(new)
        self._files.evict(rows)
        return rows
