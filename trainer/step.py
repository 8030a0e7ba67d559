"""One training step, the same in the bench and in the full training."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trainer.model import build_network, compile_for, with_range
from trainer.recipe import Recipe

Logs = dict[str, float]
RUN_AHEAD = 2  # steps that the host may be ahead of the device; one is too few to hide a hand-over
StepFunction = Callable[[Any, Any], Any]


class Fed(Protocol):
    """What a trainer needs to know of a batch."""

    @property
    def images(self) -> Any:
        """uint8 of 0 to 255, or float32 in range; `[batch, side, side, 3]`."""

    @property
    def labels(self) -> Any:
        """int32 `[batch]`."""


class Trainer:
    """Takes batches. `step` returns as soon as the host may prepare the next; `finish` waits."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        image_size: int,
        batch_size: int,
        classes: int,
        images: int,
        value_range: tuple[float, float],
        image_dtype: str,
    ) -> None:
        """Build the network with fresh weights.

        Args:
            images: images in an epoch; with the recipe's epochs, it sets the schedule's length.
            value_range: what 0 and 255 become.
            image_dtype: "uint8" for pixels, whose range is then applied on the device, or
                "float32" for images already in range.
        """
        self._network = build_network(recipe, image_size, classes)
        self._value_range = value_range
        self._model = self._network
        if image_dtype == "uint8":
            self._model = with_range(self._network, value_range, image_dtype)
        compile_for(self._model, recipe, batch_size, images)
        self._train, self._test = _functions(self._model, classes, image_dtype)
        self._in_flight: deque[Any] = deque()
        self._logs: Logs = {}

    def step(self, batch: Fed) -> None:
        """Train on one batch; the device may still be at work on the last few on return."""
        self._in_flight.append(self._train(batch.images, batch.labels))
        if len(self._in_flight) > RUN_AHEAD:
            self._await_oldest()

    def finish(self) -> None:
        """Return when the device has done all steps that it was given."""
        while self._in_flight:
            self._await_oldest()

    def progress(self) -> Logs:
        """Mean loss and accuracy since `start_epoch`; waits for the device."""
        self.finish()
        return self._logs

    def _await_oldest(self) -> None:
        self._logs = _plain(self._in_flight.popleft())

    def start_epoch(self) -> None:
        """Forget the loss and accuracy so far."""
        self._model.reset_metrics()

    def evaluate(self, batches: Iterable[Fed]) -> Logs:
        """Loss and accuracy on some batches; the running ones are forgotten."""
        self._model.reset_metrics()
        logs: Any = {}
        for batch in batches:
            logs = self._test(batch.images, batch.labels)
        evaluated = _plain(logs)
        self._model.reset_metrics()
        return evaluated

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(np.asarray(self._model.optimizer.learning_rate))

    def save(self, path: Path) -> None:
        """Write the network for pixels of 0 to 255, its range inside, whole or not at all."""
        _replace(path, with_range(self._network, self._value_range, "float32").save)

    def checkpoint(self, path: Path) -> None:
        """Write network and optimizer as they are, whole or not at all."""
        _replace(path, self._model.save)


def _functions(model: Any, classes: int, image_dtype: str) -> tuple[StepFunction, StepFunction]:
    """Train and test step on images and integer labels, by the Keras backend in use."""
    import keras

    def one_hot(labels: Any) -> Any:
        return keras.ops.one_hot(labels, classes)

    def train(images: Any, labels: Any) -> Any:
        return model.train_step((images, one_hot(labels)))

    def test(images: Any, labels: Any) -> Any:
        return model.test_step((images, one_hot(labels)))

    if keras.backend.backend() == "tensorflow":
        return _graph(train, model, image_dtype), _graph(test, model, image_dtype)

    def train_on_batch(images: Any, labels: Any) -> Any:
        # Keras' own batch function: right on every backend, but it waits for the device.
        return model.train_on_batch(np.asarray(images), one_hot(labels), return_dict=True)

    def test_on_batch(images: Any, labels: Any) -> Any:
        return model.test_on_batch(np.asarray(images), one_hot(labels), return_dict=True)

    return train_on_batch, test_on_batch


def _graph(step: StepFunction, model: Any, image_dtype: str) -> StepFunction:
    """The step as one TensorFlow graph for any batch size: a short batch costs no new trace."""
    import tensorflow as tf

    images = tf.TensorSpec(model.input_shape, image_dtype)
    labels = tf.TensorSpec([None], tf.int32)
    return tf.function(  # type: ignore[no-any-return]
        step, input_signature=(images, labels), jit_compile=model.jit_compile or None
    )


def _plain(logs: Any) -> Logs:
    return {name: float(np.asarray(value)) for name, value in (logs or {}).items()}


def _replace(path: Path, save: Callable[[Path], None]) -> None:
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        save(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
