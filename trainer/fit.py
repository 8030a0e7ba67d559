"""The full training: epochs over one stream, validation, history and checkpoints."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from time import perf_counter

from trainer.step import Fed, Trainer


@dataclass(frozen=True)
class Epoch:
    """One epoch as measured; a line of history.csv.

    Attributes:
        images: images trained on.
        train_s: seconds from the device idle before the first step to idle after the last.
        wait_s: part of `train_s` in which there was no batch.
        learning_rate: of the step after the last.
    """

    epoch: int
    images: int
    train_s: float
    wait_s: float
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float

    @property
    def images_per_second(self) -> float:
        """Training rate, validation not counted."""
        return self.images / self.train_s


Validation = Callable[[], AbstractContextManager[Iterable[Fed]]]


def fit(
    trainer: Trainer,
    batches: Iterator[Fed],
    *,
    images: int,
    epochs: int,
    validation: Validation,
    folder: Path,
    on_step: Callable[[int], None],
) -> Iterator[Epoch]:
    """Train epoch by epoch on one endless stream, so that no epoch pays for a new iterator.

    After each epoch the folder holds `history.csv`, `last.keras` (network and optimizer) and
    `best.keras` (the network, best on validation), each whole.

    Args:
        batches: endless; an epoch ends with the batch that holds its last image.
        images: images in an epoch.
        validation: opens the validation batches.
        on_step: called with the images of each step.

    Yields:
        Each epoch when it is done.
    """
    history: list[Epoch] = []
    seen = 0
    for number in range(1, epochs + 1):
        trainer.start_epoch()
        taken, train_s, wait_s = _one_epoch(trainer, batches, number * images - seen, on_step)
        seen += taken
        trained = trainer.progress()
        with validation() as held_out:
            validated = trainer.evaluate(held_out)
        history.append(
            Epoch(
                number,
                taken,
                round(train_s, 6),
                round(wait_s, 6),
                trainer.learning_rate,
                trained["loss"],
                trained["accuracy"],
                validated["loss"],
                validated["accuracy"],
            )
        )
        _write_history(history, folder / "history.csv")
        trainer.checkpoint(folder / "last.keras")
        if history[-1].validation_accuracy == max(e.validation_accuracy for e in history):
            trainer.save(folder / "best.keras")
        yield history[-1]


def _one_epoch(
    trainer: Trainer, batches: Iterator[Fed], images: int, on_step: Callable[[int], None]
) -> tuple[int, float, float]:
    """Images, seconds and seconds of waiting until at least `images` were trained on."""
    taken, wait_s = 0, 0.0
    trainer.finish()
    begin = perf_counter()
    while taken < images:
        asked = perf_counter()
        batch = next(batches)
        wait_s += perf_counter() - asked
        trainer.step(batch)
        taken += len(batch.labels)
        on_step(len(batch.labels))
    trainer.finish()
    return taken, perf_counter() - begin, wait_s


def _write_history(history: list[Epoch], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    beside = path.with_name(f".{path.name}")
    beside.write_text(text.getvalue())
    beside.replace(path)
