"""What every trainer does alike: steps that the device runs while the host prepares the next."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feedbench.trainer.errors import DivergedError
from feedbench.trainer.launcher import RUN_AHEAD, Logs


class BatchLike(Protocol):
    """The parts of a batch that a trainer reads.

    If it has `rows`, an error names them; if the device augments images, it has `device_draws`. Its
    arrays must not be overwritten: the device may read them after `step` has returned.
    """

    @property
    def images(self) -> Any:
        """uint8 of 0 to 255, or float32 in range; `[batch, side, side, 3]`.

        Of a user's own loader: whatever the user's model takes.
        """

    @property
    def labels(self) -> Any:
        """int32 `[batch]`; of a user's own loader: whatever the user's model is trained on."""


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


class TrainerBase(ABC):
    """Trains on batches: `step` returns when the host may prepare the next, `finish` waits."""

    phase = 0

    def __init__(self) -> None:
        self._steps = 0
        self._in_flight: deque[_InFlight] = deque()
        self._fetching = ThreadPoolExecutor(RUN_AHEAD + 1, "feedbench-logs")  # one per step
        self._logs: Logs = {}

    def step(self, batch: BatchLike) -> None:
        """Train on one batch; on return, the device may still be running the last few steps.

        Raises:
            NonFiniteLoss: the loss of this step, or of one still in flight, is NaN or infinite.
        """
        rows = getattr(batch, "rows", None)
        self._in_flight.append(_InFlight(self._steps, rows, self._start(batch)))
        self._steps += 1
        if len(self._in_flight) > RUN_AHEAD:
            self._await_oldest()

    def _start(self, batch: BatchLike) -> Future[Logs]:
        """Start a step, and return its logs, which a thread reads at once.

        A GPU has one queue, and a read waits for all that is in it: later, it would wait for the
        next steps too, and leave the device idle.
        """
        return self._fetching.submit(plain, self._train_on(batch))

    def finish(self) -> None:
        """Wait until the device has run all steps."""
        while self._in_flight:
            self._await_oldest()

    def progress(self) -> Logs:
        """Mean loss and metrics since `start_epoch`; waits for the device."""
        self.finish()
        return self._logs

    @property
    def latest(self) -> Logs:
        """The same up to the last step that is known to be done; does not wait."""
        return self._logs

    @property
    def note(self) -> str:
        """A line that the user should read before a training; empty if there is none."""
        return ""

    @property
    def phase_steps(self) -> int:
        """Steps taken in this phase."""
        return self._steps

    def _await_oldest(self) -> None:
        oldest = self._in_flight.popleft()
        self._logs = oldest.logs.result()
        if not math.isfinite(self._logs.get("loss", 0.0)):
            self._in_flight.clear()
            rate = self._rate_at(oldest.step)
            raise NonFiniteLoss(oldest.step, rate, self._logs["loss"], oldest.rows)

    def capture(self) -> list[Any]:
        """The current values of `variables`, which later steps do not change; waits for the device.

        With TensorFlow nothing is copied: a value that was read stays as it is, and the next step
        writes elsewhere. `numpy.asarray` reads the values.
        """
        self.finish()
        return [self._value(variable) for variable in self.variables]

    def _value(self, variable: Any) -> Any:
        return value_of(variable)

    def _assign(self, values: Sequence[NDArray[Any]]) -> None:
        """Give the variables the values of a `capture`."""
        for variable, value in zip(self.variables, values, strict=True):
            if tuple(variable.shape) != value.shape:
                name = getattr(variable, "path", variable.name)
                raise ValueError(f"{name}: shape {value.shape}, not {tuple(variable.shape)}")
            self._set_value(variable, value)

    def _set_value(self, variable: Any, value: Any) -> None:
        variable.assign(value)

    @abstractmethod
    def _train_on(self, batch: BatchLike) -> Any:
        """Start a step, and return its logs, which may still be computed."""

    @abstractmethod
    def _rate_at(self, step: int) -> float:
        """The learning rate of a step of this phase, for an error."""

    @abstractmethod
    def phase_at(self, epoch: int) -> int:
        """Index of the phase that contains an epoch, counted from 1."""

    @abstractmethod
    def enter(self, phase: int) -> None:
        """Continue with the optimizer, schedule and trainable layers of a phase."""

    @abstractmethod
    def start_epoch(self) -> None:
        """Reset the running loss and metrics."""

    @abstractmethod
    def evaluate(self, batches: Iterable[BatchLike]) -> Logs:
        """Loss and metrics on some batches; resets the running ones."""

    @abstractmethod
    def probabilities(
        self, batches: Iterable[BatchLike]
    ) -> Iterator[tuple[BatchLike, NDArray[np.float32] | None]]:
        """Each batch with the class probabilities of its images, float32 `[batch, classes]`.

        None where a user's own model gives no such probabilities.
        """

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """The learning rate of the next step; waits for the device."""

    @property
    @abstractmethod
    def variables(self) -> list[Any]:
        """What a step changes: weights, statistics, optimizer, metrics, and seeds of dropout."""

    @abstractmethod
    def restore(self, phase: int, steps: int, values: Sequence[NDArray[Any]]) -> None:
        """Return to the values of a `capture`, taken after `steps` steps of a phase.

        Raises:
            ValueError: the values belong to another network or optimizer.
        """

    @abstractmethod
    def end_training(self) -> None:
        """Give the weights the values that they have after the last step of a training.

        Doing it again changes nothing. A checkpoint has the values before.
        """

    @abstractmethod
    def save(self, path: Path, facts: dict[str, Any] | None = None) -> None:
        """Write the model with all facts that inference needs, atomically."""

    @abstractmethod
    def saving(
        self, values: Sequence[Any], path: Path, facts: dict[str, Any]
    ) -> Callable[[], None]:
        """What saves the model with the weights of a `capture`, while the training continues."""


def images_in(batch: BatchLike) -> int:
    """The number of images of a batch: the length of its first array."""
    import keras

    return int(keras.tree.flatten(batch.images)[0].shape[0])


def value_of(variable: Any) -> Any:
    """The value of a variable, which later steps do not change."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return np.array(keras.ops.convert_to_numpy(variable))
    raw = variable.value if isinstance(variable, keras.Variable) else variable
    return raw.read_value()


def plain(logs: Any) -> Logs:
    """The scalars among logs that a device computes; reading them waits for it."""
    numbers: Logs = {}
    for name, value in (logs or {}).items():
        if isinstance(value, dict):
            numbers |= plain(value)
        elif (array := _array(value)).size == 1:
            numbers[name] = float(array.reshape(()))
    return numbers


def _array(value: Any) -> NDArray[Any]:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value)
