"""The full training: epochs over one stream, validation, history and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from feedbench.trainer.base import BatchLike, NonFiniteLoss, TrainerBase, images_in
from feedbench.trainer.checkpoint import CHECKPOINT, Position, is_finite, write_checkpoint
from feedbench.trainer.errors import LargeBatchError
from feedbench.trainer.history import HISTORY, Epoch, accuracy_of, other_metrics, write_history
from feedbench.trainer.launcher import Logs
from feedbench.trainer.parts import Parts
from feedbench.trainer.writer import Writer

Validation = Callable[[], AbstractContextManager[Iterable[BatchLike]]]
BEST_MODEL = "best.keras"


class TrainingStopped(Exception):
    """The training was asked to stop; its checkpoint has the position."""


@dataclass(frozen=True)
class CheckpointPolicy:
    """Which files a run writes to its folder, and how often.

    Attributes:
        identity: identifies the run in its checkpoints.
        facts: facts that inference needs; saved within `best.keras`.
        seconds, steps: interval of the checkpoints within an epoch; 0 for none by that measure.
    """

    folder: Path
    identity: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 300.0
    steps: int = 0


@dataclass(frozen=True)
class Length:
    """How long a training is.

    Attributes:
        epochs: number of epochs.
        images: images per epoch.
        parts: into which an epoch is divided, each timed; one that is resumed within is not.
        step_images: images per step, where several machines share them; None to count those of
            the batches.
    """

    epochs: int
    images: int
    parts: int = 1
    step_images: int | None = None


@dataclass(frozen=True)
class Step:
    """One step, for callbacks: its images, its wait, and the latest known loss and accuracy."""

    images: int
    wait_s: float
    logs: Logs


def fit(
    trainer: TrainerBase,
    batches: Iterator[BatchLike],
    *,
    length: Length,
    validation: Validation,
    checkpoints: CheckpointPolicy | None,
    on_step: Callable[[Step], None],
    start: Position | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Epoch]:
    """Train epoch by epoch on one endless stream, so that no epoch pays for a new iterator.

    The folder gets `history.csv`, `checkpoint.npz` (everything that the next step depends on) and
    `best.keras` (the network with the best validation accuracy). Each file is written atomically,
    while the training continues.

    Args:
        batches: endless, from `start.step` on; an epoch ends with the batch of its last image.
        validation: opens the validation batches.
        checkpoints: the files to write; None for a worker that trains with a chief, since only
            the chief validates and writes.
        start: the position to resume from; the trainer must already be restored to it.
        stop: called after each step; True stops the training.

    Yields:
        Each epoch when it is done.

    Raises:
        TrainingStopped: `stop` returned True; the checkpoint has the position.
        TrainerError: the loss is not finite, a batch has more images than an epoch, or a checkpoint
            cannot be written.
    """
    with (
        nullcontext() if checkpoints is None else Writer(checkpoints.folder / CHECKPOINT) as writer
    ):
        run = _Run(
            trainer,
            batches,
            length,
            validation,
            checkpoints,
            on_step,
            start or Position(),
            stop,
            writer,
        )
        trainer.capture()  # the first takes several times as long; not between two epochs
        while run.position.epoch <= length.epochs:
            yield run.epoch()


@dataclass
class _Run:
    """A training under way.

    Attributes:
        part_rates: of the epoch that was trained last.
        epoch_end: when the previous epoch ended, its validation not counted.
        has_stepped: whether this process has made a step.
    """

    trainer: TrainerBase
    batches: Iterator[BatchLike]
    length: Length
    validation: Validation
    checkpoints: CheckpointPolicy | None
    on_step: Callable[[Step], None]
    position: Position
    stop: Callable[[], bool]
    writer: Writer | None
    part_rates: tuple[float, ...] = ()
    epoch_end: float | None = None
    has_stepped: bool = False

    def epoch(self) -> Epoch:
        """Train to the end of the epoch, validate, and write the files."""
        self.trainer.enter(self.trainer.phase_at(self.position.epoch))
        if not self.position.epoch_images:
            self.trainer.start_epoch()
        self._train()
        logs, values = self.trainer.progress(), self.trainer.capture()
        if self.checkpoints is None:
            return self._complete(logs, {}, 0.0)
        before_validation = copy(self.position)
        begin = perf_counter()
        try:
            validation_logs = self._validate()
        except Exception:  # it was stopped, or a held-out image cannot be read
            self._write_checkpoint(before_validation, values)
            raise
        epoch = self._complete(logs, validation_logs, perf_counter() - begin)
        best = max(one.score for one in self.position.history)
        # Before the checkpoint: a kill in between repeats the end of the epoch, and loses no model.
        if epoch.score == best:
            path, facts = self.checkpoints.folder / BEST_MODEL, self.checkpoints.facts
            self._submit(BEST_MODEL, self.trainer.saving(values, path, facts))
        self._write_checkpoint(self.position, values)
        return epoch

    def _train(self) -> None:
        """Step until every image of this epoch, and of those before, was trained on."""
        position, end = self.position, self.position.epoch * self.length.images
        position.phase, position.phase_steps = self.trainer.phase, self.trainer.phase_steps
        self.trainer.finish()
        begin, before_s = perf_counter(), position.train_s
        last_checkpoint = (begin, position.step)
        parts = Parts(1 if position.epoch_images else self.length.parts, end - position.images)
        if self.epoch_end is not None:
            position.gap_s = begin - self.epoch_end
        while position.images < end:
            self._step()
            position.train_s = before_s + perf_counter() - begin
            if position.images < end:  # the last part ends with the device idle
                parts.add(position.epoch_images, position.train_s)
            if self.stop():
                self._write_checkpoint(position, self._capture())
                raise TrainingStopped
            if self._is_due(*last_checkpoint):
                self._write_checkpoint(position, self._capture(), at_once=True)
                last_checkpoint = (perf_counter(), position.step)
        self._locating_loss(self.trainer.finish)
        self.epoch_end = perf_counter()
        position.train_s = before_s + self.epoch_end - begin
        parts.add(position.epoch_images, position.train_s)
        self.part_rates = parts.rates

    def _step(self) -> None:
        asked = perf_counter()
        batch = next(self.batches)
        wait_s = perf_counter() - asked
        count = self.length.step_images or images_in(batch)
        if count > self.length.images:
            raise LargeBatchError(count, self.length.images)
        self._locating_loss(lambda: self.trainer.step(batch))
        if not self.has_stepped:
            self.has_stepped = self.position.first_of_process = True
        self.position.wait_s += wait_s
        self.position.step += 1
        self.position.phase_steps = self.trainer.phase_steps
        self.position.images += count
        self.position.epoch_images += count
        self.on_step(Step(count, wait_s, self.trainer.latest))

    def _locating_loss(self, act: Callable[[], None]) -> None:
        """Act; if the loss is not finite, set the error's epoch and step to those of the run."""
        try:
            act()
        except NonFiniteLoss as error:
            before_phase = self.position.step - self.position.phase_steps
            error.epoch, error.step = self.position.epoch, error.step + before_phase
            raise

    def _is_due(self, since: float, step: int) -> bool:
        if self.checkpoints is None:
            return False
        seconds, steps = self.checkpoints.seconds, self.checkpoints.steps
        by_time = seconds and perf_counter() - since >= seconds
        return bool(by_time or (steps and self.position.step - step >= steps))

    def _capture(self) -> list[Any]:
        self._locating_loss(self.trainer.finish)
        return self.trainer.capture()

    def _write_checkpoint(
        self, position: Position, values: list[Any], *, at_once: bool = False
    ) -> None:
        """Have the writer write a checkpoint; the position may change meanwhile."""
        if self.checkpoints is None:
            return
        snapshot, policy = copy(position), self.checkpoints

        def write() -> None:
            # A step whose own loss was finite may have made weights NaN or infinite.
            if is_finite(values):
                write_checkpoint(policy.folder / CHECKPOINT, snapshot, values, policy.identity)

        self._submit(CHECKPOINT, write, at_once=at_once)

    def _submit(self, name: str, job: Callable[[], None], *, at_once: bool = False) -> None:
        if self.writer is not None:
            self.writer.submit(name, job, at_once=at_once)

    def _validate(self) -> Logs:
        with self.validation() as held_out:
            return self.trainer.evaluate(self._until_stopped(held_out))

    def _until_stopped(self, batches: Iterable[BatchLike]) -> Iterator[BatchLike]:
        for batch in batches:
            if self.stop():
                raise TrainingStopped
            yield batch

    def _complete(self, logs: Logs, validation_logs: Logs, validation_s: float) -> Epoch:
        """Add the epoch to the history, and move the position to the start of the next."""
        position = self.position
        epoch = Epoch(
            position.epoch,
            position.epoch_images,
            round(position.train_s, 6),
            round(position.wait_s, 6),
            self.trainer.learning_rate,
            logs.get("loss", math.nan),
            accuracy_of(logs),
            validation_logs.get("loss", math.nan),
            accuracy_of(validation_logs),
            round(position.gap_s, 6),
            round(validation_s, 6),
            other_metrics(logs) | other_metrics(validation_logs, "validation_"),
            self.part_rates,
            position.first_of_process,
        )
        position.history = history = (*position.history, epoch)
        position.epoch += 1
        position.epoch_images = 0
        position.train_s = position.wait_s = position.gap_s = 0.0
        position.first_of_process = False
        if self.epoch_end is not None:
            self.epoch_end += validation_s
        if self.checkpoints is not None:
            path = self.checkpoints.folder / HISTORY
            self._submit(HISTORY, lambda: write_history(history, path))
        return epoch
