"""Each epoch as measured, and its line of history.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from feedbench.trainer.files import replacing

HISTORY = "history.csv"


@dataclass(frozen=True)
class Epoch:
    """One epoch as measured; a line of history.csv.

    Attributes:
        images: images trained on.
        train_s: seconds from the device idle before the first step to idle after the last.
        wait_s: part of `train_s` spent waiting for batches.
        learning_rate: of the step after the last.
        gap_s: seconds between the last step of the previous epoch and the first of this one,
            without validation and a change of phase; 0 for the first.
        validation_s: seconds of the validation after this epoch.
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
    gap_s: float = 0.0
    validation_s: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Training rate, without validation."""
        return self.images / self.train_s


def write_history(history: Sequence[Epoch], path: Path) -> None:
    """Replace the file with these epochs."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    with replacing(path) as beside:
        beside.write_text(text.getvalue())
