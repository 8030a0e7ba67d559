"""The full training: epochs over one stream, validation, history and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from feedbench.trainer.checkpoint import CHECKPOINT, Position, is_finite, write_checkpoint
from feedbench.trainer.history import HISTORY, Epoch, write_history
from feedbench.trainer.saved_model import save_model
from feedbench.trainer.step import Diverged, Fed, Logs, Trainer
from feedbench.trainer.writer import Writer

Validation = Callable[[], AbstractContextManager[Iterable[Fed]]]
BEST_MODEL = "best.keras"


class Stopped(Exception):
    """The run was asked to stop and has kept where it stands."""


@dataclass(frozen=True)
class Keeping:
    """What a run keeps in its folder, and how often.

    Attributes:
        of: identifies the run in its checkpoints.
        facts: what inference must know; saved within `best.keras`.
        seconds, steps: a checkpoint in mid-epoch after so many; 0: none by that measure.
    """

    folder: Path
    of: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 300.0
    steps: int = 0


@dataclass(frozen=True)
class Step:
    """One step, for those who watch: its images, its wait, and the latest known figures."""

    images: int
    wait_s: float
    logs: Logs


def fit(
    trainer: Trainer,
    batches: Iterator[Fed],
    *,
    images: int,
    epochs: int,
    validation: Validation,
    keeping: Keeping,
    on_step: Callable[[Step], None],
    start: Position | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Epoch]:
    """Train epoch by epoch on one endless stream, so that no epoch pays for a new iterator.

    The folder gets `history.csv`, `checkpoint.npz` (all that the next step depends on) and
    `best.keras` (the network, best on validation), each whole, written while training goes on.

    Args:
        batches: endless, from `start.step` on; an epoch ends with the batch of its last image.
        images: images in an epoch.
        validation: opens the validation batches.
        start: where an earlier run stood; the trainer is already there.
        stop: asked after each step.

    Yields:
        Each epoch when it is done.

    Raises:
        Stopped: `stop` said so; the checkpoint holds where.
        TrainerError: the loss is not finite, or a checkpoint cannot be written.
    """
    with Writer() as writer:
        run = _Run(
            trainer, batches, images, validation, keeping, on_step, start or Position(), stop
        )
        run.writer = writer
        trainer.capture()  # the first time takes several times as long; not between two epochs
        while run.at.epoch <= epochs:
            yield run.epoch()


@dataclass
class _Run:
    """A training under way."""

    trainer: Trainer
    batches: Iterator[Fed]
    images: int
    validation: Validation
    keeping: Keeping
    on_step: Callable[[Step], None]
    at: Position
    stop: Callable[[], bool]
    writer: Writer = field(init=False)
    ended: float | None = None
    best_network: Any = None

    def epoch(self) -> Epoch:
        """Train to the end of the epoch, validate, keep all of it."""
        self.trainer.enter(self.trainer.phase_at(self.at.epoch))
        if not self.at.epoch_images:
            self.trainer.start_epoch()
        self._train()
        trained, values, before = self.trainer.progress(), self.trainer.capture(), copy(self.at)
        weights = self.trainer.network_values(values)
        begin = perf_counter()
        try:
            validated = self._validate()
        except Stopped:
            self._keep(before, values)
            raise
        done = self._done(trained, validated, perf_counter() - begin)
        self._keep(self.at, values)
        if done.validation_accuracy == max(e.validation_accuracy for e in self.at.history):
            self.writer.submit(BEST_MODEL, lambda: self._save_best(weights))
        return done

    def _train(self) -> None:
        """Step until every image of this epoch, and of those before, was trained on."""
        at, end = self.at, self.at.epoch * self.images
        at.phase, at.phase_steps = self.trainer.phase, self.trainer.phase_steps
        self.trainer.finish()
        begin, before_s, kept = perf_counter(), at.train_s, (perf_counter(), at.step)
        if self.ended is not None:
            at.gap_s = begin - self.ended
        while at.images < end:
            self._step()
            at.train_s = before_s + perf_counter() - begin
            if self.stop():
                self._keep(at, self._captured())
                raise Stopped
            if self._is_due(*kept):
                self._keep(at, self._captured())
                kept = (perf_counter(), at.step)
        self._diverging(self.trainer.finish)
        self.ended = perf_counter()
        at.train_s = before_s + self.ended - begin

    def _step(self) -> None:
        asked = perf_counter()
        batch = next(self.batches)
        wait_s = perf_counter() - asked
        self._diverging(lambda: self.trainer.step(batch))
        count = len(batch.labels)
        self.at.wait_s += wait_s
        self.at.step += 1
        self.at.phase_steps = self.trainer.phase_steps
        self.at.images += count
        self.at.epoch_images += count
        self.on_step(Step(count, wait_s, self.trainer.latest))

    def _diverging(self, act: Callable[[], None]) -> None:
        """Count the step of a divergence in the run, not in its phase."""
        try:
            act()
        except Diverged as error:
            error.epoch, error.step = self.at.epoch, error.step + self._before_phase()
            raise

    def _before_phase(self) -> int:
        return self.at.step - self.at.phase_steps

    def _is_due(self, since: float, step: int) -> bool:
        keeping = self.keeping
        late = keeping.seconds and perf_counter() - since >= keeping.seconds
        return bool(late or (keeping.steps and self.at.step - step >= keeping.steps))

    def _captured(self) -> list[Any]:
        self._diverging(self.trainer.finish)
        return self.trainer.capture()

    def _keep(self, at: Position, values: list[Any]) -> None:
        """Have the position and these values written; the position may go on meanwhile."""
        position, keeping = copy(at), self.keeping

        def write() -> None:
            # Weights may have left the numbers in a step whose own loss was still finite.
            if is_finite(values):
                write_checkpoint(keeping.folder / CHECKPOINT, position, values, keeping.of)

        self.writer.submit(CHECKPOINT, write)

    def _validate(self) -> Logs:
        with self.validation() as held_out:
            return self.trainer.evaluate(self._unless_stopped(held_out))

    def _unless_stopped(self, batches: Iterable[Fed]) -> Iterator[Fed]:
        for batch in batches:
            if self.stop():
                raise Stopped
            yield batch

    def _done(self, trained: Logs, validated: Logs, validation_s: float) -> Epoch:
        """Enter the epoch into the history and stand at the beginning of the next."""
        at = self.at
        done = Epoch(
            at.epoch,
            at.epoch_images,
            round(at.train_s, 6),
            round(at.wait_s, 6),
            self.trainer.learning_rate,
            trained["loss"],
            trained["accuracy"],
            validated["loss"],
            validated["accuracy"],
            round(at.gap_s, 6),
            round(validation_s, 6),
        )
        at.history = (*at.history, done)
        at.epoch += 1
        at.epoch_images, at.train_s, at.wait_s, at.gap_s = 0, 0.0, 0.0, 0.0
        if self.ended is not None:
            self.ended += validation_s
        history = at.history
        self.writer.submit(HISTORY, lambda: write_history(history, self.keeping.folder / HISTORY))
        return done

    def _save_best(self, weights: list[Any]) -> None:
        """Runs beside the training, so it needs a network of its own to put the weights into."""
        import keras

        if self.best_network is None:
            self.best_network = keras.models.clone_model(self.trainer.on_pixels())
        self.best_network.set_weights(weights)
        save_model(self.best_network, self.keeping.folder / BEST_MODEL, self.keeping.facts)
