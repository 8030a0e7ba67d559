"""A stream as other libraries take it: a tf.data.Dataset, the data of `model.fit`, Torch tensors.

Each iteration over an adapter is one pass. A stream without an end continues where the last
pass ended, so that order and augmentation are new in each; one with an end is opened again. A
new pass ends the previous one, whose iterator then raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from feedbench.loaders.errors import LoaderError, SpecError
from feedbench.loaders.stream import Batch, Opening, Stream

if TYPE_CHECKING:
    import tensorflow as tf

Layout = Literal["NCHW", "NHWC"]
_NOT_BEGUN = 0  # number of a pass


def as_dataset(stream: Stream) -> tf.data.Dataset:
    """A tf.data.Dataset of `(images, labels)`, as long as the stream, with its dtypes.

    It costs one Python call per batch. Images are not copied if their memory is aligned, as
    with tf_data, turbo and packed. It does not use `from_generator`, which makes malloc slow
    in the whole process.

    Raises:
        SpecError: part of the augmentation is left to the device.
    """
    return _dataset(_passes_of(stream), None if stream.opening is None else stream.opening.steps)


def as_keras(stream: Stream) -> tf.data.Dataset:
    """The data of `model.fit`, also as `validation_data`: `(images, labels)`, and the steps.

    For the backends tensorflow, jax and torch. For training, open the stream without
    `epochs`: an epoch of Keras is then `ceil(images / batch_size)` batches; the order continues.
    For validation, open it with `spec.for_evaluation()` and `epochs=1`: each evaluation opens it
    again and takes each image once.

    Raises:
        LoaderError: the stream does not say how many batches an epoch has.
        SpecError: each epoch would repeat the same random order, or part of the augmentation is
            left to the device.
    """
    opening = _opening_of(stream, "as_keras")
    return _dataset(_passes_of(stream), _steps_of_pass(opening))


def as_torch(stream: Stream, layout: Layout = "NCHW") -> TorchBatches:
    """The batches of a stream as Torch tensors; see `TorchBatches`.

    Raises:
        LoaderError: Torch is not installed, or the stream does not say how many batches an
            epoch has.
        SpecError: each epoch would repeat the same random order, or part of the augmentation is
            left to the device.
    """
    try:
        import torch
    except ImportError:
        raise LoaderError(
            "as_torch needs torch, which is not installed; pip install torch"
        ) from None

    opening = _opening_of(stream, "as_torch")
    return TorchBatches(_passes_of(stream), _steps_of_pass(opening), layout, torch)


class TorchBatches:
    """Pairs of Torch tensors on the CPU, one epoch per loop; `len` is its number of batches.

    Images share the memory of the stream's batches: uint8 or float32, with the shape
    `[batch, 3, height, width]` ("NCHW", in the memory format `torch.channels_last`) or
    `[batch, height, width, 3]` ("NHWC"). Labels are int64 `[batch]`, as Torch's losses require.
    """

    def __init__(self, passes: _Passes, steps: int, layout: Layout, torch: Any) -> None:
        self._passes = passes
        self._steps = steps
        self._layout = layout
        self._torch = torch

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        number = self._passes.begin()
        for _ in range(self._steps):
            batch = self._passes.batch(number)
            if batch is None:
                return
            images = self._torch.from_dlpack(batch.images)  # no copy, also of TensorFlow's
            if self._layout == "NCHW":
                images = images.permute(0, 3, 1, 2)
            yield images, self._torch.from_numpy(np.array(batch.labels, np.int64))


class _Passes:
    """The batches of a stream, pass by pass.

    Attributes:
        first: the first batch, which tells what all are like.
    """

    def __init__(self, stream: Stream) -> None:
        self._reuses_memory = stream.reuses_memory
        self.first = self._kept(next(stream))
        if self.first.device_draws is not None:
            raise SpecError(
                "augment.on_device: only Feedbench's trainer applies it; leave on_device empty"
            )
        self._stream = self._current = stream
        self._unread: Batch | None = self.first
        self._number = 0
        self._lock = Lock()  # the thread of an iterator that was dropped may still pull

    def begin(self) -> int:
        """End the pass before, and return the number of a new one.

        Raises:
            LoaderError: the stream is closed.
        """
        with self._lock:
            if self._number and self._ends:
                self._current, self._unread = self._stream.open_again(), None
            self._number += 1
            return self._number

    def batch(self, number: int) -> Batch | None:
        """The next batch of a pass, None after the last.

        Raises:
            LoaderError: another pass has begun, or the stream is closed.
        """
        with self._lock:
            if number != self._number:
                raise LoaderError(
                    "another iteration over this stream has begun, and only one is possible at a "
                    "time; open the loader once for each"
                )
            unread, self._unread = self._unread, None
            if unread is not None:
                return unread
            batch = next(self._current, None)
            return None if batch is None else self._kept(batch)

    def _kept(self, batch: Batch) -> Batch:
        """The batch in memory of its own: data sets take the next one ahead."""
        return replace(batch, images=np.array(batch.images)) if self._reuses_memory else batch

    @property
    def _ends(self) -> bool:
        opening = self._stream.opening
        return opening is not None and opening.steps is not None


def _passes_of(stream: Stream) -> _Passes:
    """The passes over a stream; all that is made of it shares them, so that no batch is lost."""
    if stream.passes is None:
        stream.passes = _Passes(stream)
    return stream.passes


def _opening_of(stream: Stream, name: str) -> Opening:
    opening = stream.opening
    if opening is None:
        raise LoaderError(
            f"{name}: this stream does not say how many batches an epoch has; use as_dataset"
        )
    if opening.steps is not None and opening.is_random:
        raise SpecError(
            f"{name}: each epoch would repeat one random order; open the loader without epochs to "
            "train, or with spec.for_evaluation() to evaluate"
        )
    return opening


def _steps_of_pass(opening: Opening) -> int:
    return opening.steps_per_epoch if opening.steps is None else opening.steps


def _dataset(passes: _Passes, steps: int | None) -> tf.data.Dataset:
    """The batches of one pass.

    Args:
        steps: how many; None if there is no end, or an unknown one.
    """
    import tensorflow as tf

    numbers = tf.data.Dataset.counter() if steps is None else tf.data.Dataset.range(steps)
    # Each iterator has its own state, the number of its pass. An end is a flag: a function that
    # raises StopIteration would be an error.
    dataset = numbers.scan(np.int64(_NOT_BEGUN), _pulling(passes))
    dataset = dataset.take_while(lambda is_there, batch: is_there)
    dataset = dataset.map(lambda is_there, batch: batch)
    if steps is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(1).with_options(_options())


def _pulling(passes: _Passes) -> Callable[[Any, Any], Any]:
    """What `scan` calls: gives the number of the pass, and whether there is a batch, and it."""
    import tensorflow as tf

    like = (passes.first.images, passes.first.labels)
    leaves = tf.nest.flatten(like)
    types = [tf.int64, tf.bool, *(tf.as_dtype(one.dtype) for one in leaves)]

    def pull(number: Any) -> list[Any]:
        number = passes.begin() if number == _NOT_BEGUN else int(number)
        batch = passes.batch(number)
        arrays = leaves if batch is None else tf.nest.flatten((batch.images, batch.labels))
        return [np.int64(number), np.bool_(batch is not None), *map(np.asarray, arrays)]

    def scanned(number: Any, step: Any) -> Any:
        number, is_there, *arrays = tf.numpy_function(pull, [number], types)
        shaped = [
            tf.ensure_shape(one, (None, *leaf.shape[1:]))
            for one, leaf in zip(arrays, leaves, strict=True)
        ]
        batch = tf.nest.pack_sequence_as(like, shaped)
        return tf.ensure_shape(number, ()), (tf.ensure_shape(is_there, ()), batch)

    return scanned


def _options() -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # the end of an iterator would wait for its thread
    return options
