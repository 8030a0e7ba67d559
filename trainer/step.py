"""One training step, the same in the bench and in a full training."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feedbench.trainer.augment import DeviceAugment, check_device_augment
from feedbench.trainer.errors import DivergedError
from feedbench.trainer.functions import Augmentation, prediction_function, step_functions
from feedbench.trainer.model import build_network, check_range, in_range, set_trainable, with_range
from feedbench.trainer.optimizer import compile_for
from feedbench.trainer.recipe import Recipe
from feedbench.trainer.saved_model import save_model
from feedbench.trainer.weights import load_into

Logs = dict[str, float]
RUN_AHEAD = 2  # steps that the host may be ahead of the device; one is too few to hide a hand-over
_NO_AUGMENT = DeviceAugment()


class BatchLike(Protocol):
    """What a trainer reads of a batch.

    If it has `rows`, an error names them; if the device augments images, it has `device_draws`. Its
    arrays must not be overwritten: the device may read them after `step` has returned.
    """

    @property
    def images(self) -> Any:
        """uint8 of 0 to 255, or float32 in range; `[batch, side, side, 3]`."""

    @property
    def labels(self) -> Any:
        """int32 `[batch]`."""


class NonFiniteLoss(DivergedError):
    """The loss became NaN or infinite.

    Attributes:
        epoch, step: of the run if raised by `fit`, from 1 and 0; else the step of the phase.
        learning_rate: of that step.
        rows: manifest rows of its batch; None if the batch had none.
    """

    def __init__(
        self, step: int, learning_rate: float, loss: float, rows: NDArray[np.int64] | None
    ) -> None:
        super().__init__(f"the loss is {loss} at step {step:,}, learning rate {learning_rate:.4g}")
        self.epoch = 0
        self.step = step
        self.learning_rate = learning_rate
        self.rows = rows


@dataclass
class _InFlight:
    """A step that the device may still be running; its rows are kept for an error."""

    step: int
    rows: Any
    logs: Future[Logs]


class Trainer:
    """Trains on batches: `step` returns once the host may prepare the next, `finish` waits."""

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
        device_augment: DeviceAugment = _NO_AUGMENT,
        class_weights: Sequence[float] | None = None,
        load_initial_weights: bool = True,
    ) -> None:
        """Build the network, with fresh weights or those that the recipe names.

        Args:
            images: images per epoch; with the recipe's epochs, it sets the schedule's length.
            scale, offset: factor and offset from pixels to the value range, per channel.
            image_dtype: "uint8" for pixels, whose range is then applied on the device, or
                "float32" for images already in range.
            device_augment: the device's part of the augmentation, by the batches' `device_draws`.
            class_weights: weight of an image of each class in the loss; None for equal weights.
            load_initial_weights: False if `restore` follows, which replaces the recipe's weights.

        Raises:
            TrainerError: the network cannot be built, or the weights do not match.
        """
        check_device_augment(recipe, device_augment)
        self._recipe = recipe
        self._sizes = (batch_size, images)
        self._range = (scale, offset)
        self._image_dtype = image_dtype
        self._device_augment = device_augment
        self._class_weights = class_weights
        self._network = build_network(recipe, image_size, classes)
        check_range(self._network, recipe, scale, offset)
        if load_initial_weights:
            load_into(self._network, recipe, image_size)
        # The network itself is never compiled: a saved one must not contain an optimizer.
        if image_dtype == "uint8":
            dtype = "float32" if device_augment else "uint8"
            self._model = with_range(self._network, scale, offset, dtype)
        else:
            self._model = in_range(self._network)
        self._in_flight: deque[_InFlight] = deque()
        self._fetching = ThreadPoolExecutor(RUN_AHEAD + 1, "feedbench-logs")  # one per step
        self._logs: Logs = {}
        self._predict: Callable[[Any], Any] | None = None
        self._enter(0)

    def phase_at(self, epoch: int) -> int:
        """Index of the recipe's phase that contains an epoch, counted from 1."""
        started = [phase.before < epoch for phase in self._recipe.phases]
        return sum(started) - 1

    def enter(self, phase: int) -> None:
        """Continue with the optimizer, schedule and trainable layers of a phase."""
        if phase != self.phase:
            self.finish()
            self._enter(phase)

    def _enter(self, phase: int) -> None:
        self.phase = phase
        self._steps = 0
        set_trainable(self._network, self._recipe, self._recipe.phases[phase])
        compile_for(self._model, self._recipe, self._recipe.phases[phase], *self._sizes)
        self._train, self._test = step_functions(
            self._model, self._image_dtype, self._class_weights, self._augmentation
        )

    @property
    def _augmentation(self) -> Augmentation | None:
        if not self._device_augment:
            return None
        scale, offset = self._range
        if self._image_dtype == "uint8":
            low, high = [0.0] * 3, [255.0] * 3
        else:
            low = list(offset)
            high = [255 * factor + start for factor, start in zip(scale, offset, strict=True)]
        return lambda images, draws: self._device_augment.apply(images, draws, low, high)

    def step(self, batch: BatchLike) -> None:
        """Train on one batch; on return, the device may still be running the last few steps.

        Raises:
            NonFiniteLoss: the loss of this step, or of one still in flight, is NaN or infinite.
        """
        draws = (batch.device_draws,) if self._device_augment else ()  # type: ignore[attr-defined]
        # Read on a thread, at once: a GPU has one queue, and a read waits for all that is in it.
        # Read later, this step's logs would wait for the next ones too, and leave the device idle.
        logs = self._fetching.submit(_plain, self._train(batch.images, batch.labels, *draws))
        self._in_flight.append(_InFlight(self._steps, getattr(batch, "rows", None), logs))
        self._steps += 1
        if len(self._in_flight) > RUN_AHEAD:
            self._await_oldest()

    def finish(self) -> None:
        """Wait until the device has run all steps."""
        while self._in_flight:
            self._await_oldest()

    def progress(self) -> Logs:
        """Mean loss and accuracy since `start_epoch`; waits for the device."""
        self.finish()
        return self._logs

    @property
    def latest(self) -> Logs:
        """The same up to the last step that is known to be done; does not wait."""
        return self._logs

    def _await_oldest(self) -> None:
        oldest = self._in_flight.popleft()
        self._logs = oldest.logs.result()
        if not math.isfinite(self._logs.get("loss", 0.0)):
            self._in_flight.clear()
            learning_rate = float(np.asarray(self._schedule(oldest.step)))
            raise NonFiniteLoss(oldest.step, learning_rate, self._logs["loss"], oldest.rows)

    def start_epoch(self) -> None:
        """Reset the running loss and accuracy."""
        self._model.reset_metrics()

    def evaluate(self, batches: Iterable[BatchLike]) -> Logs:
        """Loss and accuracy on some batches; resets the running ones."""
        self._model.reset_metrics()
        logs: Any = {}
        for batch in batches:
            logs = self._test(batch.images, batch.labels)
        evaluated = _plain(logs)
        self._model.reset_metrics()
        return evaluated

    def probabilities(
        self, batches: Iterable[BatchLike]
    ) -> Iterator[tuple[BatchLike, NDArray[np.float32]]]:
        """Each batch with the class probabilities of its images, float32 `[batch, classes]`."""
        if self._predict is None:
            self._predict = prediction_function(self._model, self._image_dtype)
        for batch in batches:
            yield batch, np.asarray(self._predict(batch.images), np.float32)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, by the optimizer's count; waits for the device.

        With float16 it does not count steps whose gradients overflow.
        """
        return float(np.asarray(self._schedule(self._optimizer.iterations)))

    @property
    def _schedule(self) -> Any:
        return self._optimizer._learning_rate

    @property
    def _optimizer(self) -> Any:
        """The optimizer itself, without the loss scaling of float16 around it."""
        optimizer = self._model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)

    @property
    def variables(self) -> list[Any]:
        """What a step changes: weights, statistics, optimizer, metrics, and seeds of dropout."""
        variables = (
            *self._model.variables,
            *self._model.metrics_variables,
            *self._model.optimizer.variables,
        )
        return list({id(variable): variable for variable in variables}.values())

    def capture(self) -> list[Any]:
        """The current values of `variables`, which later steps do not change; waits for the device.

        With TensorFlow nothing is copied: a value that was read stays as it is, and the next step
        writes elsewhere. `numpy.asarray` reads the values.
        """
        self.finish()
        return [_value(variable) for variable in self.variables]

    def restore(self, phase: int, steps: int, values: Sequence[NDArray[Any]]) -> None:
        """Return to the values of a `capture`, taken after `steps` steps of a phase.

        Raises:
            ValueError: the values belong to another network or optimizer.
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
        """The values of the network's weights among those of a `capture`."""
        by_variable = dict(zip(map(id, self.variables), captured, strict=True))
        return [by_variable[id(weight)] for weight in self._network.weights]

    def on_pixels(self) -> Any:
        """The network for pixels of 0 to 255, its range inside; it shares the trainer's weights."""
        return with_range(self._network, *self._range, "float32")

    def save(self, path: Path, facts: dict[str, Any] | None = None) -> None:
        """Write `on_pixels` with what inference needs to know, whole or not at all."""
        save_model(self.on_pixels(), path, facts or {})


def _value(variable: Any) -> Any:
    import keras

    if keras.backend.backend() == "tensorflow":
        return variable.value.read_value()
    return np.array(keras.ops.convert_to_numpy(variable))


def _plain(logs: Any) -> Logs:
    return {name: float(np.asarray(value)) for name, value in (logs or {}).items()}
