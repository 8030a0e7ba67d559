"""Each epoch as measured, and its line of history.csv."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from feedbench.replacing import replacing

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
        accuracy, validation_accuracy: NaN if the user's own model has no such metric.
        metrics: further metrics of the user's own model, as columns after the others.
        part_rates: images per second of equal parts of the epoch, in order; empty if it was not
            divided. Not in the file.
        first_of_process: whether a process began within it, so that it includes a warm-up; False in
            records of earlier versions. Not in the file.
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
    metrics: dict[str, float] = field(default_factory=dict)
    part_rates: tuple[float, ...] = ()
    first_of_process: bool = False

    @property
    def score(self) -> float:
        """How good the model is on the validation images; higher is better."""
        if math.isnan(self.validation_accuracy):
            return -self.validation_loss
        return self.validation_accuracy

    @property
    def images_per_second(self) -> float:
        """Training rate, without validation."""
        return self.images / self.train_s


_NOT_COLUMNS = ("metrics", "part_rates", "first_of_process")
_COLUMNS = tuple(field.name for field in fields(Epoch) if field.name not in _NOT_COLUMNS)


def _line(epoch: Epoch) -> dict[str, Any]:
    values = asdict(epoch)
    return {**epoch.metrics, **{name: values[name] for name in _COLUMNS}}


def accuracy_of(logs: Mapping[str, float]) -> float:
    """The first accuracy among the metrics of a model; NaN if it has none."""
    name = _accuracy_name(logs)
    return math.nan if name is None else logs[name]


def other_metrics(logs: Mapping[str, float], before: str = "") -> dict[str, float]:
    """The metrics besides loss and accuracy, under their names with `before` in front."""
    known = ("loss", _accuracy_name(logs))
    return {before + name: value for name, value in logs.items() if name not in known}


def _accuracy_name(logs: Mapping[str, float]) -> str | None:
    return next(
        (name for name in logs if "acc" in name.lower().split("_") or "accuracy" in name.lower()),
        None,
    )


def write_history(history: Sequence[Epoch], path: Path) -> None:
    """Replace the file with these epochs."""
    text = io.StringIO()
    lines = [_line(epoch) for epoch in history]
    names = dict.fromkeys([*_COLUMNS, *(name for line in lines for name in line)])
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with replacing(path, alone=True) as beside:
        beside.write_text(text.getvalue(), encoding="utf-8")
