"""The stages of a loader whose threads fill batches: they decode, gather, or only read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.host import augmenter, to_range
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.contract import BatchSpec, Dtype
from feedbench.loaders.images.libjpeg_turbo import Decode, LiveImages
from feedbench.loaders.images.resize import disable_opencv_threads, fit_into
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.row_cache import RowCache
from feedbench.loaders.stages.draws import crop_of, drawn, drawn_crops
from feedbench.loaders.stages.stage import (
    HELD_BYTES,
    Reading,
    Run,
    Stage,
    Stages,
    of_all_sizes,
    on_threads,
    sample,
    whole_files,
)

_PIECE = 64  # largest number of images per call: each thread has a buffer of this size
Pixels = NDArray[np.uint8]


def live_stages(manifest: Manifest, spec: BatchSpec, decode: Decode, dtype: Dtype) -> Stages:
    """Return stages that read and decode files and resize them directly into the batch."""
    live = LiveImages(manifest, spec, decode)

    def items() -> list[tuple[int, bytes, bytes, Crops | None]]:
        rows, files = sample(manifest)
        crops = drawn_crops(len(rows), spec)
        found = zip(rows.tolist(), manifest.paths(rows), files, strict=True)
        return [(*one, crop_of(crops, index)) for index, one in enumerate(found)]

    reading = whole_files(manifest)
    return decoding_stages(reading, spec, dtype, items, lambda item: live.decoded(*item))


def decoding_stages(
    reading: Reading,
    spec: BatchSpec,
    dtype: Dtype,
    items: Callable[[], Sequence[Any]],
    decoded: Callable[[Any], Pixels],
) -> Stages:
    """Reading, decoding, resizing, and the range where the host applies it.

    Args:
        items: a sample of what is decoded; asked for when a stage is prepared.
        decoded: one item's pixels, uint8 `[height, width, 3]`, in memory that the thread's next
            call may overwrite.
    """
    work = DecodingWork(spec.as_resized(), items, decoded)
    return Stages(reading, work.decode, work.transform, _ranging(spec, dtype), True)


def pixel_stages(reading: Reading, spec: BatchSpec, dtype: Dtype) -> Stages:
    """Finished pixels read into the batch's memory, augmented there, and brought into range."""

    def transform(cores: int) -> Run:
        return on_threads(_Augmenting(spec), _PIECE, cores)

    changes = transform if spec.augment.on_host else None
    return Stages(reading, None, changes, _ranging(spec, dtype), True)


def gathering_stages(rows: int, spec: BatchSpec, dtype: Dtype) -> Stages:
    """Finished pixels copied from memory into batches, augmented and brought into range."""

    def batch_copy(cores: int) -> Run:
        work = _Gathering(rows, spec, dtype)
        return on_threads(work, work.pieces, cores, work.images)

    return Stages(None, batch_copy=batch_copy, copies_in_parallel=True)


class DecodingWork:
    """Decodes and resizes a sample on threads, as the loader does."""

    def __init__(
        self,
        spec: BatchSpec,
        items: Callable[[], Sequence[Any]],
        decoded: Callable[[Any], Pixels],
    ) -> None:
        self._spec = spec
        self._load = items
        self._decoded = decoded

    def decode(self, cores: int) -> Run:
        """Decode with the loader's decoder."""
        return on_threads(self.picture, len(self._items), cores)

    def transform(self, cores: int) -> Run:
        """Resize into a reused buffer, and augment."""
        disable_opencv_threads()
        side = self._spec.image_size
        few = of_all_sizes([picture.nbytes for picture in self._pictures])
        pictures = [self._pictures[index] for index in few]
        own = _Own(lambda: np.empty((1, side, side, 3), np.uint8))
        change, draws = augmenter(self._spec), drawn(len(self._pictures), self._spec)

        def work(index: int) -> None:
            into = own.memory
            fit_into(pictures[index % len(pictures)], self._spec, into[0])
            change(into, draws[index : index + 1])

        return on_threads(work, len(draws), cores)

    def picture(self, index: int) -> Pixels:
        """Return the pixels of an item, in a buffer that the next call may overwrite."""
        return self._decoded(self._items[index])

    @cached_property
    def _items(self) -> Sequence[Any]:
        return self._load()

    @cached_property
    def _pictures(self) -> list[Pixels]:
        pictures: list[Pixels] = []
        held = 0
        for index in range(len(self._items)):
            pictures.append(self.picture(index).copy())
            held += pictures[-1].nbytes
            if held > HELD_BYTES:
                break
        return pictures


class _Own(local):
    """A buffer per thread, created on first use."""

    def __init__(self, make: Callable[[], Pixels]) -> None:
        self.memory = make()


class _Augmenting:
    """Augments one image in place."""

    def __init__(self, spec: BatchSpec) -> None:
        disable_opencv_threads()
        side = spec.image_size
        self._own = _Own(lambda: np.full((1, side, side, 3), 127, np.uint8))
        self._change, self._draws = augmenter(spec), drawn(_PIECE, spec)

    def __call__(self, index: int) -> None:
        self._change(self._own.memory, self._draws[index : index + 1])


class _Gathering:
    """Copying some random rows from memory, augmenting them, and bringing them into range.

    Attributes:
        images: number of images copied at a time.
        pieces: number of groups of that many rows in the memory.
    """

    def __init__(self, rows: int, spec: BatchSpec, dtype: Dtype) -> None:
        disable_opencv_threads()
        side = spec.image_size
        held = min(rows, max(1, HELD_BYTES // (3 * side**2)))
        self.images = min(_PIECE, spec.batch_size)
        self.pieces = max(1, held // self.images)
        # Written once: pages that were never written share one physical page.
        self._cache = RowCache(np.full((held, side, side, 3), 127, np.uint8))
        self._rows = np.random.default_rng(0).integers(held, size=(self.pieces, self.images))
        self._own = _Own(lambda: np.empty((self.images, side, side, 3), np.uint8))
        self._change, self._draws = augmenter(spec), drawn(self.images, spec)
        self._spec, self._float = spec, dtype == "float32"

    def __call__(self, piece: int) -> None:
        batch = self._own.memory
        for row, into in zip(self._rows[piece].tolist(), batch, strict=True):
            self._cache.copy(row, into)
        self._change(batch, self._draws)
        if self._float:
            to_range(batch.astype(np.float32), self._spec)


def _ranging(spec: BatchSpec, dtype: Dtype) -> Stage | None:
    """Return the stage that scales to the value range; None if the device does it."""
    if dtype == "uint8":
        return None

    def batch_copy(cores: int) -> Run:
        images = min(_PIECE, spec.batch_size)
        side = spec.image_size
        own = _Own(lambda: np.full((images, side, side, 3), 127, np.uint8))
        return on_threads(
            lambda _: to_range(own.memory.astype(np.float32), spec), cores, cores, images
        )

    return batch_copy
