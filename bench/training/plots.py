"""Draws the learning curves and the confusion matrix as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.report.figures import saved_figure
from feedbench.loaders import printable

if TYPE_CHECKING:
    from feedbench.trainer import Epoch

CURVES = "learning-curves.png"
CONFUSION = "confusion.png"
_MAX_CLASSES_WITH_TEXT = 30  # with more classes, names and counts would be too small to read


def draw_curves(epochs: Sequence[Epoch], path: Path) -> None:
    """Draw loss and accuracy of training and validation over the epochs.

    Raises:
        RecordError: the file cannot be written.
    """
    with saved_figure(path, 10, 4) as figure:
        for column, name in enumerate(("loss", "accuracy"), start=1):
            axes = figure.add_subplot(1, 2, column)
            numbers = [epoch.epoch for epoch in epochs]
            axes.plot(numbers, [getattr(epoch, name) for epoch in epochs], label="training")
            validation = [getattr(epoch, f"validation_{name}") for epoch in epochs]
            axes.plot(numbers, validation, label="validation")
            axes.set(xlabel="epoch", ylabel=name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend()
            axes.grid(alpha=0.3)


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix; colours show fractions of the true class, numbers show counts.

    Args:
        confusion: image counts by true class (rows) and predicted class (columns).

    Raises:
        RecordError: the file cannot be written.
    """
    side_inches = max(4.0, min(20.0, 2 + 0.45 * len(classes)))
    fractions = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    with saved_figure(path, side_inches + 1, side_inches) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(fractions, vmin=0, vmax=1, cmap="Blues")
        figure.colorbar(image, label="fraction of the true class")
        axes.set(xlabel="predicted", ylabel="true")
        if len(classes) <= _MAX_CLASSES_WITH_TEXT:
            names = [printable(name) for name in classes]
            axes.set_xticks(range(len(classes)), names, rotation=90, parse_math=False)
            axes.set_yticks(range(len(classes)), names, parse_math=False)
            _write_counts(axes, confusion, fractions)


def _write_counts(axes: Any, confusion: NDArray[np.int64], fractions: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(confusion):
        colour = "white" if fractions[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
