"""A training that was interrupted: what its folder holds, in the form of a training.json."""

from __future__ import annotations

import csv
import math
import shlex
from pathlib import Path
from typing import Any

from feedbench.bench.analysis.best import Best, read_best
from feedbench.bench.errors import RecordError
from feedbench.bench.training.folder import LOADER, RECIPE, read_recipe
from feedbench.bench.training.rate_check import RATE_CHECK_KEY, RateCheck
from feedbench.bench.training.shape import fault_of_epoch
from feedbench.trainer import HISTORY, Recipe

_WHOLE = ("epoch", "images")
_EPOCH = (
    *_WHOLE, "train_s", "wait_s", "learning_rate", "loss", "accuracy", "validation_loss",
    "validation_accuracy", "gap_s", "validation_s",
)  # fmt: skip


def read_unfinished(path: Path) -> dict[str, Any]:
    """Read a training without a training.json; it has neither a test nor an environment.

    Args:
        path: its loader.toml.

    Raises:
        RecordError: one of its files is missing or not valid.
    """
    folder = path.parent
    best, recipe = read_best(folder / LOADER), read_recipe(folder / RECIPE)
    epochs = _read_history(folder / HISTORY)
    return {
        "loader": best.loader,
        "settings": best.settings,
        "spec": best.spec,
        "recipe": recipe.model_dump(mode="json"),
        "epochs": epochs,
        "test": None,
        "per_class": [],
        "dropped": [],
        RATE_CHECK_KEY: _rate_check(best, recipe, len(epochs), folder).model_dump(mode="json"),
    }


def _rate_check(best: Best, recipe: Recipe, epochs: int, folder: Path) -> RateCheck:
    resume = shlex.join(["feedbench", "train", "DATA", "--resume", str(folder)])
    return RateCheck(
        predicted=best.predicted.images_per_second if best.predicted else None,
        achieved=None,
        met=None,
        text=f"Not finished: complete epochs: {epochs} of {recipe.epochs}. To resume: {resume}",
    )


def _read_history(path: Path) -> list[dict[str, Any]]:
    """Return the complete epochs as training.json has them; none before the first has ended."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_epoch(line) for line in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordError(f"{path}: not the history of a training: {error}") from error


def _epoch(line: dict[str, str]) -> dict[str, Any]:
    values = {name: _number(name, text) for name, text in line.items() if text != ""}
    metrics = {name: values.pop(name) for name in [*values] if name not in _EPOCH}
    epoch = {**{name: values[name] for name in _EPOCH}, "metrics": metrics}
    if fault := fault_of_epoch(epoch):
        raise ValueError(fault)
    return epoch


def _number(name: str, text: str) -> float | int | None:
    value = int(text) if name in _WHOLE else float(text)
    return value if math.isfinite(value) else None  # JSON has neither NaN nor infinity
