"""Draws the confusion matrix of a trained model, and which classes it confuses most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.figures.figure import axes_at, saved_figure
from feedbench.bench.figures.fonts import is_drawable
from feedbench.bench.figures.heading import MARGIN, Heading, text_width
from feedbench.bench.figures.style import BLUE, INK, MUTED, PALE, SMALL_SIZE, panel_title
from feedbench.loaders import printable

CONFUSION = "confusion.png"
_MOST_COUNTED = 30  # classes: with more, counts would be too small to read
_MOST_NAMED = 100  # classes: with more, names would be too
_PAIRS = 15  # most confused pairs that are listed beside a matrix without counts
_NAME_INCHES = 1.9  # longer names are shortened
_CELL, _SMALL_CELL = 0.46, 0.17  # inches: with counts, and without
_MATRIX, _SMALLEST, _LEAST_WIDTH = 8.0, 1.6, 5.5  # inches: without names, of few classes, of all
_AXIS_LABEL, _SCALE, _LIST = 0.4, 1.1, 5.0  # inches
_COLORS = "Blues"


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix; colours show fractions of the true class, numbers show counts.

    From 31 classes on, the most confused pairs are listed in place of the counts.

    Args:
        confusion: image counts by true class (rows) and predicted class (columns).
        classes: their names.
        path: file of the picture.

    Raises:
        RecordError: the file cannot be written.
    """
    names = [_name(number, name) for number, name in enumerate(classes)]
    has_counts = len(names) <= _MOST_COUNTED
    side, beside = _sizes(names)
    width = _AXIS_LABEL + beside + side + _SCALE + (0 if has_counts else _LIST)
    height = _AXIS_LABEL + beside + side + MARGIN
    heading = Heading(_title(confusion, names), _subtitle(confusion), _note(classes))
    dpi = 120 if has_counts else 90
    with saved_figure(path, max(width, _LEAST_WIDTH), height, heading, dpi) as figure:
        corner = _AXIS_LABEL + beside
        _draw_matrix(axes_at(figure, corner, corner, side, side), confusion, names)
        _draw_scale(figure, axes_at(figure, corner + side + 0.15, corner, 0.16, side))
        if not has_counts:
            listed = axes_at(figure, corner + side + _SCALE, corner, _LIST - 2 * MARGIN, side)
            _list_pairs(listed, confusion, names)


def _sizes(names: Sequence[str]) -> tuple[float, float]:
    """Return the side of the matrix, and the room for names beside it, in inches."""
    if len(names) > _MOST_NAMED:
        return _MATRIX, 0.0
    cell = _CELL if len(names) <= _MOST_COUNTED else _SMALL_CELL
    longest = max(text_width(name, SMALL_SIZE) for name in names)
    return max(_SMALLEST, cell * len(names)), longest + 0.1


def _draw_scale(figure: Any, axes: Any) -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(cmap=_COLORS), cax=axes)
    bar.set_label("fraction of the true class")
    bar.ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    bar.outline.set_visible(False)


def _draw_matrix(axes: Any, confusion: NDArray[np.int64], names: Sequence[str]) -> None:
    fractions = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(fractions, vmin=0, vmax=1, cmap=_COLORS, interpolation="nearest", aspect="auto")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
    if len(names) > _MOST_NAMED:
        axes.set(xticks=[], yticks=[])
        return
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    if len(names) <= _MOST_COUNTED:
        _write_counts(axes, confusion, fractions)


def _write_counts(axes: Any, confusion: NDArray[np.int64], fractions: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            color = "white" if fractions[row, column] > 0.5 else INK
            style = {"ha": "center", "va": "center", "fontsize": SMALL_SIZE}
            axes.text(column, row, f"{count}", color=color, **style)


def _list_pairs(axes: Any, confusion: NDArray[np.int64], names: Sequence[str]) -> None:
    """Draw the most confused pairs as bars with their names and counts above them."""
    pairs = most_confused(confusion)[:_PAIRS]
    panel_title(axes, "Most confused: true class → predicted class")
    counts = [int(confusion[pair]) for pair in pairs]
    axes.barh(range(len(pairs)), counts, height=0.3, color=BLUE)
    for y, (true, predicted) in enumerate(pairs):
        total = int(confusion[true].sum())
        text = f"{names[true]} → {names[predicted]}: {counts[y]} of {total}"
        axes.text(0, y - 0.35, text, va="center", fontsize=SMALL_SIZE)
    axes.set(xlim=(0, 1.05 * max(counts, default=1)), ylim=(_PAIRS - 0.3, -0.8), yticks=[])
    axes.set_xlabel("test images", color=MUTED)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="x", color=PALE)


def most_confused(confusion: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return true and predicted class of each kind of mistake, the most frequent first."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
    rows, columns = np.unravel_index(order, wrong.shape)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _title(confusion: NDArray[np.int64], names: Sequence[str]) -> str:
    pairs = most_confused(confusion)
    if not confusion.sum():
        return "No test image"
    if not pairs:
        return "Every test image is recognized"
    true, predicted = pairs[0]
    count, total = confusion[true, predicted], confusion[true].sum()
    return f"Most confused: {count} of {total} {names[true]} taken for {names[predicted]}"


def _subtitle(confusion: NDArray[np.int64]) -> str:
    right, total = int(np.trace(confusion)), int(confusion.sum())
    if not total:
        return ""
    return f"Test accuracy {right / total:.1%}: {right:,} of {total:,} images"


def _note(classes: Sequence[str]) -> str:
    if all(is_drawable(printable(name)) for name in classes):
        return ""
    return (
        "No installed font can draw some names: those classes are numbered from 0, in the order of "
        "training.json."
    )


def _name(number: int, name: str) -> str:
    """Return a class name that can be drawn, with its middle left out if it is long."""
    text = printable(name)
    if not is_drawable(text):
        return f"class {number}"
    if text_width(text, SMALL_SIZE) <= _NAME_INCHES:
        return text
    half = len(text) // 2
    while text_width(f"{text[:half]}…{text[-half:]}", SMALL_SIZE) > _NAME_INCHES:
        half -= 1
    return f"{text[:half]}…{text[-half:]}"
