"""The classic: Keras' `load_img`, one image after the other, stacked; in line or in a PyDataset."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from loaders.contract import Batch, BatchSpec, Loader, Settings, Stream
from loaders.errors import ImageError
from loaders.host import flipped, ranged
from loaders.manifest import Manifest
from loaders.order import Order

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

    def __init__(self, manifest: Manifest, spec: BatchSpec, order: Order) -> None:
        self.manifest = manifest
        self.spec = spec
        self.order = order

    def __getitem__(self, step: int) -> Batch:
        begin, end = self.order.batch(step)
        rows = self.order.rows(begin, end)
        images = np.stack(
            [load(os.fsdecode(path), self.spec) for path in self.manifest.paths(rows)]
        )
        images = flipped(ranged(images, self.spec), self.order.flips(begin, end))
        return Batch(images, self.manifest.labels[rows], rows)


def load(path: str, spec: BatchSpec) -> NDArray[np.float32]:
    """One image, float32 `[image_size, image_size, 3]`, 0 to 255.

    Raises:
        ImageError: the file cannot be read; the text names it and gives Pillow's words.
    """
    from keras.utils import img_to_array

    try:
        return img_to_array(_resized(path, spec), dtype="float32")  # type: ignore[no-any-return]
    except MemoryError:
        raise
    except Exception as error:  # each of Pillow's formats fails in ways of its own
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ImageError(
            f"{path}: Pillow cannot read it: {reason or type(error).__name__}; mend or remove "
            "the file"
        ) from error


def _resized(path: str, spec: BatchSpec) -> Image:
    from keras.utils import load_img

    size = (spec.image_size, spec.image_size)
    if spec.resize == "pad":
        return _padded(load_img(path), spec)
    if spec.interpolation == "nearest":
        nearest: Image = load_img(path, target_size=size, keep_aspect_ratio=spec.resize == "crop")
        return nearest
    # With a crop, load_img's filter would reach for pixels beyond it; TensorFlow's cannot.
    image = load_img(path)
    return _scaled(_centre_square(image) if spec.resize == "crop" else image, size, spec)


def _scaled(image: Image, size: tuple[int, int], spec: BatchSpec) -> Image:
    from PIL.Image import Resampling, Transform

    if spec.interpolation == "nearest":
        return image.resize(size, Resampling.NEAREST)
    if spec.antialias:
        return image.resize(size, Resampling.BILINEAR)
    # Pillow's resize always widens its filter when it shrinks; this takes the four pixels around
    # each new one's centre, as TensorFlow does.
    return image.transform(size, Transform.EXTENT, (0, 0, *image.size), Resampling.BILINEAR)


def _centre_square(image: Image) -> Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _padded(image: Image, spec: BatchSpec) -> Image:
    """Fitted into the square and centred on black, as tf.image.resize_with_pad does it."""
    from PIL import Image as Pillow

    target = spec.image_size
    ratio = max(image.size) / target
    size = (max(1, int(image.width / ratio)), max(1, int(image.height / ratio)))
    canvas = Pillow.new("RGB", (target, target))
    corner = ((target - size[0]) // 2, (target - size[1]) // 2)
    canvas.paste(_scaled(image, size, spec), corner)
    return canvas


def open_stream(manifest: Manifest, spec: BatchSpec, settings: KerasPil, order: Order) -> Stream:
    """Batches decoded in line, or by the enqueuer that Keras' `fit` uses for a PyDataset."""
    batches = Batches(manifest, spec, order)
    if not settings.workers:
        return Stream(_in_line(batches))
    return _enqueued(batches, settings)


def _in_line(batches: Batches) -> Iterator[Batch]:
    step = 0
    while batches.order.steps is None or step < batches.order.steps:
        yield batches[step]
        step += 1


def _enqueued(batches: Batches, settings: KerasPil) -> Stream:
    # Keras has no public way to iterate a PyDataset outside of fit; this is what fit does.
    from keras.src.trainers.data_adapters.py_dataset_adapter import OrderedEnqueuer

    # An event of threads would never be seen by processes: they would decode the whole queue.
    closing = multiprocessing.Event() if settings.use_multiprocessing else threading.Event()
    enqueuer = OrderedEnqueuer(
        _py_dataset(batches, settings, closing),
        workers=settings.workers,
        use_multiprocessing=settings.use_multiprocessing,
        max_queue_size=settings.max_queue_size,
    )
    pools: list[Any] = []
    make_pool = enqueuer.executor_fn

    def make_and_remember(shared: Any) -> Any:
        pools.append(make_pool(shared))
        return pools[-1]

    enqueuer.executor_fn = make_and_remember
    enqueuer.start()

    def release() -> None:
        closing.set()
        enqueuer.stop()
        for pool in pools:
            pool.join()

    return Stream(_counted(enqueuer.get(), batches.order.steps), release)


def _py_dataset(batches: Batches, settings: KerasPil, closing: Any) -> Any:
    from keras.utils import PyDataset

    class Given(PyDataset):  # type: ignore[misc]
        """The batches; once closing, batches asked for in advance are not decoded any more.

        An error is given, not raised: Keras would raise it again while it stops, half way.
        """

        @property
        def num_batches(self) -> int | None:
            return batches.order.steps

        def __getitem__(self, step: int) -> Batch | Exception | None:
            _follow_parent()
            try:
                return None if closing.is_set() else batches[step]
            except Exception as error:
                return error

    return Given(
        workers=settings.workers,
        use_multiprocessing=settings.use_multiprocessing,
        max_queue_size=settings.max_queue_size,
    )


@cache
def _follow_parent() -> None:
    """In a worker process: end with the parent, which cannot say so when it is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def exit_after_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_after_parent, daemon=True).start()


def _counted(batches: Iterator[Any], steps: int | None) -> Iterator[Batch]:
    """End after `steps`: the enqueuer itself never does, it waits for more."""
    step = 0
    while steps is None or step < steps:
        batch = next(batches)
        if isinstance(batch, Exception):
            raise batch
        yield Batch(*batch)
        step += 1


LOADER = Loader(
    name="keras_pil",
    summary="Keras' load_img on Pillow, one image after the other: the textbook path",
    settings=KerasPil,
    open=open_stream,
)
