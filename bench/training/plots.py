"""Learning curves and the confusion matrix as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.report.figures import saved_figure

CURVES = "learning-curves.png"
CONFUSION = "confusion.png"
_MOST_NUMBERED = 30  # classes; beyond it a number in each field could not be read


def draw_curves(epochs: Sequence[Any], path: Path) -> None:
    """Loss and accuracy of training and validation by epoch.

    Raises:
        RecordError: the file cannot be written.
    """
    with saved_figure(path, 10, 4) as figure:
        for place, name in enumerate(("loss", "accuracy")):
            axes = figure.add_subplot(1, 2, place + 1)
            numbers = [epoch.epoch for epoch in epochs]
            axes.plot(numbers, [getattr(epoch, name) for epoch in epochs], label="training")
            held_out = [getattr(epoch, f"validation_{name}") for epoch in epochs]
            axes.plot(numbers, held_out, label="validation")
            axes.set(xlabel="epoch", ylabel=name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend()
            axes.grid(alpha=0.3)


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Share of each true class (a row) that was called each class (a column).

    Raises:
        RecordError: the file cannot be written.
    """
    side = max(4.0, min(20.0, 2 + 0.45 * len(classes)))
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    with saved_figure(path, side + 1, side) as figure:
        axes = figure.add_subplot()
        shown = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        figure.colorbar(shown, label="share of the true class")
        axes.set(xlabel="predicted", ylabel="true")
        if len(classes) <= _MOST_NUMBERED:
            axes.set_xticks(range(len(classes)), classes, rotation=90)
            axes.set_yticks(range(len(classes)), classes)
            _number(axes, confusion, shares)


def _number(axes: Any, confusion: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(confusion):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
