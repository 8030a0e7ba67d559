"""keras_pil: Keras' `load_img`, one image after the other; in line or in a `PyDataset`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from feedbench.loaders.augment.host import augment_to_range
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.code.keras_pil import keras_pil_code
from feedbench.loaders.contract import Batch, BatchSpec, Loader, Request, Settings, Stream
from feedbench.loaders.cores import thread_counts
from feedbench.loaders.errors import ImageError
from feedbench.loaders.faults import Faults
from feedbench.loaders.files import check_limits, openable
from feedbench.loaders.images.decode_path import PLAIN, pillow_decode_paths
from feedbench.loaders.images.library_call import load_img
from feedbench.loaders.images.pillow import cut, fitted, picture, reason
from feedbench.loaders.keras_enqueuer import Enqueuer
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.remote.ahead import ReadAhead
from feedbench.loaders.settings import READ_DEPTHS, ReadDepth
from feedbench.loaders.stages.pillow import pillow_stages
from feedbench.loaders.stages.stage import IN_LINE, Concurrency, Kind, Stages

if TYPE_CHECKING:
    from PIL.Image import Image


class KerasPil(Settings):
    """Settings of `keras_pil`."""

    workers: NonNegativeInt = Field(
        0,
        description="0: decode in line, as most people do; more: decode that many batches in "
        "parallel, each in a thread or process of its own.",
    )
    max_queue_size: PositiveInt = Field(
        10, description="Batches prepared ahead; each costs its memory."
    )
    use_multiprocessing: bool = Field(
        False,
        description="Workers are processes: no shared Python lock, but each batch is copied "
        "through a pipe, and each process needs the memory of an interpreter.",
    )

    read_depth: ReadDepth = READ_DEPTHS[0]

    @model_validator(mode="after")
    def _has_workers(self) -> Self:
        # Keras' PyDataset runs a single thread in line, which would be workers=0 by another name.
        if self.workers == 1 and not self.use_multiprocessing:
            raise ValueError("workers must be 0 or at least 2 for threads, got 1")
        if self.use_multiprocessing and not self.workers:
            raise ValueError("use_multiprocessing needs workers of at least 1, got 0")
        return self


class BatchSequence:
    """Batches by step, as a `PyDataset` returns them; in this or in another process."""

    def __init__(self, request: Request, read_depth: int = READ_DEPTHS[0]) -> None:
        self.order = request.order
        self.reads = ReadAhead(read_depth)
        self._request = request
        self._tolerance = request.faults.tolerance
        self._decode_paths = pillow_decode_paths(request.manifest, request.spec)

    def __getitem__(self, step: int) -> tuple[Batch, list[ImageError]]:
        """One batch, and the images that failed, whose places others have taken."""
        begin, end = self.order.chunk(step, self.order.batch_size)
        order = self.order
        images: list[NDArray[np.float32] | None] = [None] * (end - begin)
        failed: list[ImageError] = []
        rows = order.rows(begin, end)
        while new_faults := self._load(rows, images, order.crops(begin, end)):
            failed += new_faults
            self._tolerance.check(len(failed), new_faults[-1])
            order = order.without(fault.row for fault in new_faults)
            rows = order.rows(begin, end)
        draws = order.draws(begin, end)
        batch = augment_to_range(np.stack(images), draws, self._request.spec)  # type: ignore[arg-type]
        return self._request.batch(batch, rows, draws), failed

    def _load(
        self, rows: Rows, images: list[NDArray[np.float32] | None], crops: Crops | None
    ) -> list[ImageError]:
        """Fill the places without an image; return the errors of rows that failed.

        A row that comes twice is decoded twice, as in every other loader.
        """
        faults: dict[int, ImageError] = {}
        left = [place for place, image in enumerate(images) if image is None]
        paths = self.reads.start(self._request.manifest.paths(rows[left]))
        for place, path in zip(left, paths, strict=True):
            row = int(rows[place])
            if row in faults:
                continue
            try:
                crop = None if crops is None else crops[place]
                images[place] = load(path, self._request.spec, self._decode_paths[row], crop)
            except MemoryError:
                raise
            except Exception as error:  # each of Pillow's formats fails in its own ways
                check_limits(path, error)
                faults[row] = ImageError(os.fsdecode(path), row, "Pillow", reason(error))
                self._tolerance.check(len(faults), faults[row])
        return list(faults.values())


def load(
    path: str | bytes, spec: BatchSpec, decode_path: int = PLAIN, crop: Crops | None = None
) -> NDArray[np.float32]:
    """One image, float32 `[image_size, image_size, 3]`, 0 to 255.

    Args:
        decode_path: PLAIN for Keras' `load_img`, PILLOW for files that it decodes differently.
        crop: the region to cut out and stretch; None for the whole image.

    Raises:
        Exception: whatever Pillow raises for a file that it cannot read.
    """
    from keras.utils import img_to_array

    file = openable(path)
    if crop is not None:
        image = cut(_whole(file, spec, decode_path), crop, spec)
    elif decode_path == PLAIN:
        image = _load_img(file, spec)
    else:
        image = fitted(picture(file, spec), spec)
    return img_to_array(image, dtype="float32")  # type: ignore[no-any-return]


def _whole(file: str | BytesIO, spec: BatchSpec, decode_path: int) -> Image:
    from keras.utils import load_img

    image: Image = load_img(file) if decode_path == PLAIN else picture(file, spec)
    return image


def _load_img(file: str | BytesIO, spec: BatchSpec) -> Image:
    from keras.utils import load_img

    if spec.resize == "pad" or spec.interpolation != "nearest":
        return fitted(load_img(file), spec)
    size = (spec.image_size, spec.image_size)
    nearest: Image = load_img(file, target_size=size, keep_aspect_ratio=spec.resize == "crop")
    return nearest


def open_stream(request: Request, settings: KerasPil) -> Stream:
    """Batches decoded in line, or by the enqueuer that Keras' `fit` uses for a `PyDataset`."""
    sequence, faults = BatchSequence(request, settings.read_depth), request.faults
    if not settings.workers:
        return Stream(_in_line(sequence, faults), sequence.reads.close, faults)
    enqueuer = Enqueuer(
        sequence.__getitem__,
        sequence.order.steps,
        workers=settings.workers,
        use_multiprocessing=settings.use_multiprocessing,
        max_queue_size=settings.max_queue_size,
    )
    batches = _from_enqueuer(enqueuer.results(), sequence.order.steps, faults)

    def release() -> None:
        sequence.reads.close()
        enqueuer.close()

    return Stream(batches, release, faults)


def _in_line(sequence: BatchSequence, faults: Faults) -> Iterator[Batch]:
    step = 0
    while sequence.order.steps is None or step < sequence.order.steps:
        batch, failed = sequence[step]
        _add_all(failed, faults)
        sequence.order = sequence.order.without(fault.row for fault in failed)
        yield batch
        step += 1


def _from_enqueuer(results: Iterator[Any], steps: int | None, faults: Faults) -> Iterator[Batch]:
    """Batches until `steps`: the enqueuer itself never ends, it waits for more."""
    step = 0
    while steps is None or step < steps:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        batch, failed = result
        _add_all(failed, faults)
        yield batch
        step += 1


def _add_all(failed: list[ImageError], faults: Faults) -> None:
    for fault in failed:
        faults.add(fault)


def _workers(cores: int) -> tuple[int, ...]:
    """Return the numbers worth trying; a single thread would be none by another name."""
    return (0, *(count for count in thread_counts(cores) if count > 1))


def _queue_sizes(cores: int) -> tuple[int, ...]:
    """Return the sizes worth trying: of fewer batches than workers, some would have none to do."""
    return tuple(dict.fromkeys((10, 2, max(10, 2 * cores))))


def _stages(manifest: Manifest, spec: BatchSpec, settings: KerasPil) -> Stages:
    concurrency = IN_LINE
    if settings.workers:
        kind: Kind = "processes" if settings.use_multiprocessing else "threads"
        concurrency = Concurrency(kind, settings.workers)
    return replace(pillow_stages(manifest, spec), concurrency=concurrency)


LOADER = Loader(
    name="keras_pil",
    summary="Keras' load_img on Pillow, one image after the other: the textbook path",
    turns_by_scan=True,
    settings=KerasPil,
    open=open_stream,
    readable_by=("pillow",),
    space={"workers": _workers, "max_queue_size": _queue_sizes, "read_depth": READ_DEPTHS},
    object_settings=("read_depth",),
    suites={
        "quick": ({},),
        "standard": ({}, {"workers": [2, 4]}, {"workers": 2, "use_multiprocessing": True}),
        "limits": ({},),
        "peers": ({},),
    },
    stages=_stages,
    library_call=load_img,
    cuts_no_regions=lambda settings: None,
    code=keras_pil_code,
)
