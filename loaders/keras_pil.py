"""The classic: Keras' `load_img`, one image after the other, stacked; in line or in a PyDataset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from feedbench.loaders.contract import Batch, BatchSpec, Loader, Settings, Stream
from feedbench.loaders.errors import ImageError
from feedbench.loaders.faults import Faults, Tolerance
from feedbench.loaders.images.decode_path import PLAIN, pillow_ways
from feedbench.loaders.images.host_augment import finished
from feedbench.loaders.images.pillow import fitted, picture, reason
from feedbench.loaders.keras_enqueuer import Enqueuer
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order, Rows

if TYPE_CHECKING:
    from PIL.Image import Image


class KerasPil(Settings):
    """Knobs of `keras_pil`."""

    workers: NonNegativeInt = Field(
        0,
        description="0 decodes in line, as most people have it; more decode that many batches "
        "at once, each on a thread or process of its own",
    )
    max_queue_size: PositiveInt = Field(
        10, description="batches that wait ready; each costs its own memory"
    )
    use_multiprocessing: bool = Field(
        False,
        description="workers are processes: no shared Python lock, but every batch is "
        "copied through a pipe and the interpreter's memory is held again",
    )

    @model_validator(mode="after")
    def _has_workers(self) -> Self:
        # Keras' PyDataset runs a single thread in line, which would be workers=0 by another name.
        if self.workers == 1 and not self.use_multiprocessing:
            raise ValueError("workers must be 0 or at least 2 for threads, got 1")
        if self.use_multiprocessing and not self.workers:
            raise ValueError("use_multiprocessing needs workers of at least 1, got 0")
        return self


class Batches:
    """Any batch by its step: what a PyDataset is asked for, here or in another process."""

    def __init__(
        self, manifest: Manifest, spec: BatchSpec, order: Order, tolerance: Tolerance
    ) -> None:
        self.manifest = manifest
        self.spec = spec
        self.order = order
        self.tolerance = tolerance
        self.ways = pillow_ways(manifest, spec)

    def __getitem__(self, step: int) -> tuple[Batch, list[ImageError]]:
        """One batch, and the images that failed and whose place others have taken."""
        begin, end = self.order.piece(step, self.order.batch_size)
        order = self.order
        loaded: dict[int, NDArray[np.float32]] = {}
        failed: list[ImageError] = []
        while True:
            rows = order.rows(begin, end)
            faults = self._load(rows, loaded)
            if not faults:
                break
            failed += faults
            self.tolerance.hold(len(failed), faults[-1])
            order = order.without(fault.row for fault in faults)
        images = np.stack([loaded[row] for row in rows.tolist()])
        draws = order.draws(begin, end)
        changes = self.spec.augment.for_device(draws, self.spec.image_size)
        images = finished(images, draws, self.spec)
        return Batch(images, self.manifest.labels[rows], rows, changes), failed

    def _load(self, rows: Rows, loaded: dict[int, NDArray[np.float32]]) -> list[ImageError]:
        """Fill in what is not loaded yet; what fails is given back, or ends the run."""
        faults = []
        for row, path in zip(rows.tolist(), self.manifest.paths(rows), strict=True):
            if row in loaded:
                continue
            try:
                loaded[row] = load(os.fsdecode(path), self.spec, self.ways[row])
            except MemoryError:
                raise
            except Exception as error:  # each of Pillow's formats fails in ways of its own
                faults.append(ImageError(os.fsdecode(path), row, "Pillow", reason(error)))
                self.tolerance.hold(len(faults), faults[-1])
        return faults


def load(path: str, spec: BatchSpec, way: int = PLAIN) -> NDArray[np.float32]:
    """One image, float32 `[image_size, image_size, 3]`, 0 to 255.

    Args:
        way: PLAIN for Keras' `load_img`, PILLOW for files of which it gives another picture.

    Raises:
        Exception: whatever Pillow has to say of a file that it cannot read.
    """
    from keras.utils import img_to_array

    image = _plain(path, spec) if way == PLAIN else fitted(picture(path, spec), spec)
    return img_to_array(image, dtype="float32")  # type: ignore[no-any-return]


def _plain(path: str, spec: BatchSpec) -> Image:
    from keras.utils import load_img

    if spec.resize == "pad" or spec.interpolation != "nearest":
        return fitted(load_img(path), spec)
    size = (spec.image_size, spec.image_size)
    nearest: Image = load_img(path, target_size=size, keep_aspect_ratio=spec.resize == "crop")
    return nearest


def open_stream(
    manifest: Manifest, spec: BatchSpec, settings: KerasPil, order: Order, faults: Faults
) -> Stream:
    """Batches decoded in line, or by the enqueuer that Keras' `fit` uses for a PyDataset."""
    batches = Batches(manifest, spec, order, faults.tolerance)
    if not settings.workers:
        return Stream(_in_line(batches, faults), faults=faults)
    enqueuer = Enqueuer(batches, settings)
    return Stream(_counted(enqueuer.batches(), order.steps, faults), enqueuer.close, faults)


def _in_line(batches: Batches, faults: Faults) -> Iterator[Batch]:
    step = 0
    while batches.order.steps is None or step < batches.order.steps:
        batch, failed = batches[step]
        _meet(failed, faults)
        batches.order = batches.order.without(fault.row for fault in failed)
        yield batch
        step += 1


def _counted(batches: Iterator[Any], steps: int | None, faults: Faults) -> Iterator[Batch]:
    """End after `steps`: the enqueuer itself never does, it waits for more."""
    step = 0
    while steps is None or step < steps:
        given = next(batches)
        if isinstance(given, Exception):
            raise given
        batch, failed = given
        _meet(failed, faults)
        yield batch
        step += 1


def _meet(failed: list[ImageError], faults: Faults) -> None:
    for fault in failed:
        faults.meet(fault)


LOADER = Loader(
    name="keras_pil",
    summary="Keras' load_img on Pillow, one image after the other: the textbook path",
    settings=KerasPil,
    open=open_stream,
    space={"workers": (0, 2, 4, 8), "max_queue_size": (10, 2)},
    decoder="pillow",
)
