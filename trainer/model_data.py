"""From batches to what a user's own model is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from feedbench.trainer.augment import DeviceAugment
from feedbench.trainer.base import BatchLike
from feedbench.trainer.compiled import Data
from feedbench.trainer.model_inputs import ImageConversion
from feedbench.trainer.model_targets import LabelForm
from feedbench.trainer.tensors import as_tensor

_NO_AUGMENT = DeviceAugment()


class Feed(Protocol):
    """Makes the arguments of a model's steps from batches.

    Attributes:
        takes: what the model is given: "pixels" of 0 to 255, images in the value "range", or
            batches of the user's "own".
    """

    takes: Literal["pixels", "range", "own"]

    def train(self, batch: BatchLike) -> Data:
        """What `train_step` takes."""

    def test(self, batch: BatchLike) -> Data:
        """What `test_step` takes."""

    def inputs(self, batch: BatchLike) -> Any:
        """What the model itself takes."""


class OwnBatches:
    """Passes the batches of a user's own loader unchanged.

    Arrays are copied: the user's code may write into them again.
    """

    takes: Literal["pixels", "range", "own"] = "own"

    def train(self, batch: BatchLike) -> Data:
        """Images and labels as tensors."""
        return tensors(batch.images, copy=True), tensors(batch.labels, copy=True)

    def test(self, batch: BatchLike) -> Data:
        """The same."""
        return self.train(batch)

    def inputs(self, batch: BatchLike) -> Any:
        """The images alone."""
        return tensors(batch.images, copy=True)


class ImageBatches:
    """Converts images and classes of Feedbench's loaders to the form that a model takes."""

    def __init__(self, conversion: ImageConversion, augment: DeviceAugment) -> None:
        self.takes: Literal["pixels", "range", "own"]
        self.takes = "pixels" if conversion.target.pixels else "range"
        self._augment = augment
        self._convert = on_device(conversion.function(augment))
        self._plain = on_device(conversion.function(_NO_AUGMENT)) if augment else self._convert
        self._labels: Callable[[Any], Any] = tensors
        self._weights: Any = None

    def label_with(
        self, form: LabelForm, classes: int, class_weights: Sequence[float] | None
    ) -> None:
        """Set the form of the labels, and the weight of each class in the loss."""
        table = {
            "index": np.arange(classes, dtype=np.int32),
            "one_hot": np.eye(classes, dtype=np.float32),
            "column": np.arange(classes, dtype=np.float32)[:, None],
        }[form]
        self._labels = lambda labels: tensors(table[np.asarray(labels)])
        self._weights = None if class_weights is None else np.array(class_weights, np.float32)

    def train(self, batch: BatchLike) -> Data:
        """Augmented images, labels, and the weights of their classes if there are any."""
        draws = (batch.device_draws,) if self._augment else ()  # type: ignore[attr-defined]
        images = self._convert(tensors(batch.images), *map(tensors, draws))
        if self._weights is None:
            return images, self._labels(batch.labels)
        weights = self._weights[np.asarray(batch.labels)]
        return images, self._labels(batch.labels), tensors(weights)

    def test(self, batch: BatchLike) -> Data:
        """Images and labels."""
        return self.inputs(batch), self._labels(batch.labels)

    def inputs(self, batch: BatchLike) -> Any:
        """The images alone."""
        return self._plain(tensors(batch.images))


def on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors, compiled for the current backend."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        compiled: Callable[..., Any] = tf.function(function, reduce_retracing=True)
        return compiled
    if backend == "jax":
        import jax

        return jax.jit(function)  # type: ignore[no-any-return]
    return function


def tensors(values: Any, *, copy: bool = False) -> Any:
    """Arrays, and lists, tuples and dicts of them, as tensors of the current backend.

    float64 becomes float32, as in `fit`.

    Args:
        copy: whether the arrays may be written to while the tensors are used.
    """
    if isinstance(values, dict):
        return {name: tensors(value, copy=copy) for name, value in values.items()}
    if isinstance(values, list | tuple) and not _is_array_like(values):
        return type(values)([tensors(value, copy=copy) for value in values])
    return _tensor(values, copy=copy)


def _is_array_like(values: Sequence[Any]) -> bool:
    return bool(values) and isinstance(values[0], int | float)


def as_array(value: Any) -> NDArray[Any]:
    """A tensor of any library as a NumPy array, without a copy where that is possible."""
    if hasattr(value, "detach"):  # torch
        value = value.detach().cpu()
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _tensor(value: Any, *, copy: bool) -> Any:
    import keras

    backend = keras.backend.backend()
    if keras.ops.is_tensor(value) and not (copy and backend == "torch"):
        return keras.ops.convert_to_tensor(value)
    array = as_array(value)
    if backend != "tensorflow":
        return keras.ops.convert_to_tensor(array.copy() if copy else array)
    return _of_tensorflow(array, copy=copy)


def _of_tensorflow(array: NDArray[Any], *, copy: bool) -> Any:
    """In host memory until a step needs it: the copy to a GPU then waits in the GPU's queue."""
    import tensorflow as tf

    shared = array if copy or array.dtype.kind not in "iuf" else as_tensor(array)
    if shared is not array:
        return shared
    with tf.device("CPU"):
        return tf.convert_to_tensor(array)
