"""One training step, the same in the bench and in the full training."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feedbench.trainer.device_augment import DRAWN, Changes
from feedbench.trainer.errors import DivergedError
from feedbench.trainer.model import build_network, check_range, in_range, set_learning, with_range
from feedbench.trainer.optimizer import compile_for
from feedbench.trainer.recipe import Recipe
from feedbench.trainer.saved_model import save_model
from feedbench.trainer.weights import load_into

Logs = dict[str, float]
RUN_AHEAD = 2  # steps that the host may be ahead of the device; one is too few to hide a hand-over
StepFunction = Callable[..., Any]
_NO_CHANGES = Changes()


class Fed(Protocol):
    """What a trainer needs to know of a batch.

    Where it has `rows` too, an error names them; where the device changes images, it has `changes`.
    """

    @property
    def images(self) -> Any:
        """uint8 of 0 to 255, or float32 in range; `[batch, side, side, 3]`."""

    @property
    def labels(self) -> Any:
        """int32 `[batch]`."""


class Diverged(DivergedError):
    """The loss became NaN or infinite.

    Attributes:
        epoch, step: of the run where `fit` trains, from 1 and 0; else the step of the phase.
        rate: learning rate of that step.
        rows: manifest rows of its batch; None where the batch had none.
    """

    def __init__(self, step: int, rate: float, loss: float, rows: NDArray[np.int64] | None) -> None:
        super().__init__(f"the loss is {loss} at step {step:,}, learning rate {rate:.4g}")
        self.epoch = 0
        self.step = step
        self.rate = rate
        self.rows = rows


@dataclass
class _InFlight:
    """A step that the device may still be at work on; its rows must outlive it."""

    step: int
    rows: Any
    logs: Any


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
        scale: Sequence[float],
        offset: Sequence[float],
        image_dtype: str,
        changes: Changes = _NO_CHANGES,
        class_weights: Sequence[float] | None = None,
        begin_afresh: bool = True,
    ) -> None:
        """Build the network, with fresh weights or those that the recipe names.

        Args:
            images: images in an epoch; with the recipe's epochs, it sets the schedule's length.
            scale, offset: what pixels are multiplied by, and what is then added; each channel.
            image_dtype: "uint8" for pixels, whose range is then applied on the device, or
                "float32" for images already in range.
            changes: which ones the device makes; batches then hold what is drawn, as `changes`.
            class_weights: how much an image of each class counts; all alike if None.
            begin_afresh: False where `restore` follows: the recipe's weights are not needed then.

        Raises:
            TrainerError: the network cannot be built, or the weights do not fit.
        """
        self._recipe = recipe
        self._sizes = (batch_size, images)
        self._range = (scale, offset)
        self._image_dtype = image_dtype
        self._changes = changes
        self._class_weights = class_weights
        self._network = build_network(recipe, image_size, classes)
        check_range(self._network, recipe, scale, offset)
        if begin_afresh:
            load_into(self._network, recipe, image_size)
        # What is compiled is never the network itself: a saved one must not hold an optimizer.
        if image_dtype == "uint8":
            dtype = "float32" if changes else "uint8"
            self._model = with_range(self._network, scale, offset, dtype)
        else:
            self._model = in_range(self._network)
        self._in_flight: deque[_InFlight] = deque()
        self._logs: Logs = {}
        self._predict: Callable[[Any], Any] | None = None
        self._enter(0)

    def phase_at(self, epoch: int) -> int:
        """Which phase of the recipe an epoch, counted from 1, belongs to."""
        begun = [phase.before < epoch for phase in self._recipe.phases]
        return sum(begun) - 1

    def enter(self, phase: int) -> None:
        """Go on with the optimizer, schedule and learning layers of a phase of the recipe."""
        if phase != self.phase:
            self.finish()
            self._enter(phase)

    def _enter(self, phase: int) -> None:
        self.phase = phase
        self._steps = 0
        chosen = self._recipe.phases[phase]
        set_learning(self._network, self._recipe, chosen)
        compile_for(self._model, self._recipe, chosen, *self._sizes)
        self._train, self._test = _functions(
            self._model, self._image_dtype, self._class_weights, self._changed
        )

    @property
    def _changed(self) -> Callable[[Any, Any], Any] | None:
        """Images and what is drawn for them → changed images; None where nothing is."""
        if not self._changes:
            return None
        scale, offset = self._range
        if self._image_dtype == "uint8":
            low, high = [0.0] * 3, [255.0] * 3
        else:
            low = list(offset)
            high = [255 * by + plus for by, plus in zip(scale, offset, strict=True)]
        return lambda images, drawn: self._changes.apply(images, drawn, low, high)

    def step(self, batch: Fed) -> None:
        """Train on one batch; the device may still be at work on the last few on return.

        Raises:
            Diverged: the loss of this step, or of one still in flight, is not finite.
        """
        drawn = (batch.changes,) if self._changes else ()  # type: ignore[attr-defined]
        logs = self._train(batch.images, batch.labels, *drawn)
        self._in_flight.append(_InFlight(self._steps, getattr(batch, "rows", None), logs))
        self._steps += 1
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

    @property
    def latest(self) -> Logs:
        """The same of the steps that are known to be done; does not wait."""
        return self._logs

    def _await_oldest(self) -> None:
        oldest = self._in_flight.popleft()
        self._logs = _plain(oldest.logs)
        if not math.isfinite(self._logs.get("loss", 0.0)):
            self._in_flight.clear()
            rate = float(np.asarray(self._schedule(oldest.step)))
            raise Diverged(oldest.step, rate, self._logs["loss"], oldest.rows)

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

    def shares(self, batches: Iterable[Fed]) -> Iterator[tuple[Fed, NDArray[np.float32]]]:
        """Each batch with the class shares of its images, float32 `[batch, classes]`."""
        if self._predict is None:
            self._predict = _prediction(self._model, self._image_dtype)
        for batch in batches:
            yield batch, np.asarray(self._predict(batch.images), np.float32)

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(np.asarray(self._schedule(self._steps)))

    @property
    def _schedule(self) -> Any:
        optimizer = self._model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)._learning_rate

    @property
    def variables(self) -> list[Any]:
        """All that a step changes: weights, statistics, optimizer, running figures, dropout."""
        held = (
            *self._model.variables,
            *self._model.metrics_variables,
            *self._model.optimizer.variables,
        )
        return list({id(variable): variable for variable in held}.values())

    def capture(self) -> list[Any]:
        """The values of `variables` now, later steps notwithstanding; `numpy.asarray` reads them.

        In TensorFlow a value that was read stays as it is: the next step writes elsewhere. So this
        copies nothing and waits for nothing.
        """
        self.finish()
        return [_value(variable) for variable in self.variables]

    def restore(self, phase: int, steps: int, values: Sequence[NDArray[Any]]) -> None:
        """Go back to what `capture` gave in a phase, after so many steps of it.

        Raises:
            ValueError: the values are another network's or optimizer's.
        """
        self.enter(phase)
        for variable, value in zip(self.variables, values, strict=True):
            if tuple(variable.shape) != value.shape:
                raise ValueError(f"{variable.path}: shape {value.shape}, not {variable.shape}")
            variable.assign(value)
        self._steps = steps
        self._logs = _plain(self._model.get_metrics_result())

    @property
    def phase_steps(self) -> int:
        """Steps taken in this phase."""
        return self._steps

    def network_values(self, captured: Sequence[Any]) -> list[Any]:
        """Of what `capture` gave, the values of the network's weights."""
        by_variable = dict(zip(map(id, self.variables), captured, strict=True))
        return [by_variable[id(weight)] for weight in self._network.weights]

    def on_pixels(self) -> Any:
        """The network for pixels of 0 to 255, its range inside; its weights are the trainer's."""
        return with_range(self._network, *self._range, "float32")

    def save(self, path: Path, facts: dict[str, Any] | None = None) -> None:
        """Write `on_pixels` with what inference must know, whole or not at all."""
        save_model(self.on_pixels(), path, facts or {})


def _value(variable: Any) -> Any:
    import keras

    if keras.backend.backend() == "tensorflow":
        return variable.value.read_value()
    return np.array(keras.ops.convert_to_numpy(variable))


def _functions(
    model: Any,
    image_dtype: str,
    class_weights: Sequence[float] | None,
    changed: Callable[[Any, Any], Any] | None,
) -> tuple[StepFunction, StepFunction]:
    """Train and test step on images and integer labels, by the Keras backend in use.

    The train step also takes what is drawn where `changed` is given.
    """
    import keras

    classes = model.output_shape[-1]

    def one_hot(labels: Any) -> Any:
        return keras.ops.one_hot(labels, classes)

    def weighed(labels: Any) -> tuple[Any, ...]:
        if class_weights is None:
            return ()
        return (keras.ops.take(keras.ops.convert_to_tensor(class_weights, "float32"), labels),)

    def seen(images: Any, drawn: Any) -> Any:
        return images if changed is None else changed(images, *drawn)

    def train(images: Any, labels: Any, *drawn: Any) -> Any:
        return model.train_step((seen(images, drawn), one_hot(labels), *weighed(labels)))

    def test(images: Any, labels: Any) -> Any:
        return model.test_step((images, one_hot(labels)))

    if keras.backend.backend() == "tensorflow":
        with_draws = changed is not None
        return _graph(train, model, image_dtype, with_draws), _graph(test, model, image_dtype)

    def train_on_batch(images: Any, labels: Any, *drawn: Any) -> Any:
        # Keras' own batch function: right on every backend, but it waits for the device.
        return model.train_on_batch(
            seen(np.asarray(images), drawn), one_hot(labels), *weighed(labels), return_dict=True
        )

    def test_on_batch(images: Any, labels: Any) -> Any:
        return model.test_on_batch(np.asarray(images), one_hot(labels), return_dict=True)

    return train_on_batch, test_on_batch


def _graph(step: StepFunction, model: Any, image_dtype: str, drawn: bool = False) -> StepFunction:
    """The step as one TensorFlow graph for any batch size: a short batch costs no new trace."""
    import tensorflow as tf

    signature = [tf.TensorSpec(model.input_shape, image_dtype), tf.TensorSpec([None], tf.int32)]
    if drawn:
        signature.append(tf.TensorSpec([None, DRAWN], tf.float32))
    return tf.function(  # type: ignore[no-any-return]
        step, input_signature=signature, jit_compile=model.jit_compile or None
    )


def _prediction(model: Any, image_dtype: str) -> Callable[[Any], Any]:
    import keras

    def predict(images: Any) -> Any:
        return model(images, training=False)

    if keras.backend.backend() != "tensorflow":
        return lambda images: keras.ops.convert_to_numpy(predict(np.asarray(images)))
    import tensorflow as tf

    signature = (tf.TensorSpec(model.input_shape, image_dtype),)
    return tf.function(predict, input_signature=signature)  # type: ignore[no-any-return]


def _plain(logs: Any) -> Logs:
    return {name: float(np.asarray(value)) for name, value in (logs or {}).items()}
