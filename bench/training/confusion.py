"""Draws the confusion matrix of a trained model, and which classes it confuses most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.figures.figure import axes_at, saved_figure
from feedbench.bench.figures.fonts import is_drawable
from feedbench.bench.figures.heading import MARGIN, Heading, text_width
from feedbench.bench.figures.style import BLUE, INK, MUTED, PALE, SMALL_SIZE, panel_title
from feedbench.bench.training.class_pairs import ClassPairs
from feedbench.loaders import printable

CONFUSION = "confusion.png"
_MOST_COUNTED = 30  # classes: with more, counts would be too small to read
_MOST_NAMED = 100  # classes: with more, names would be too
_MOST_CELLS = 720  # along a side, one per pixel: with more classes, each stands for several
_PAIRS = 15  # most confused pairs that are listed beside a matrix without counts
_NAME_INCHES = 1.9  # longer names are shortened
_CELL, _SMALL_CELL = 0.46, 0.17  # inches: with counts, and without
_MATRIX, _SMALLEST, _LEAST_WIDTH = 8.0, 1.6, 5.5  # inches: without names, of few classes, of all
_AXIS_LABEL, _SCALE, _LIST = 0.4, 1.1, 5.0  # inches
_COLORS = "Blues"

NameOf = Callable[[int], str]  # the drawn name of a class by its number


def draw_confusion(pairs: ClassPairs, classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix; colours show fractions of the true class, numbers show counts.

    From 31 classes on, the most confused pairs are listed in place of the counts.

    Args:
        pairs: image counts by true and predicted class.
        classes: their names.
        path: file of the picture.

    Raises:
        RecordError: the file cannot be written.
    """

    def name_of(number: int) -> str:
        return _name(number, classes[number])

    has_counts = len(classes) <= _MOST_COUNTED
    names = list(map(name_of, range(len(classes)))) if len(classes) <= _MOST_NAMED else []
    side, beside = _sizes(names)
    width = _AXIS_LABEL + beside + side + _SCALE + (0 if has_counts else _LIST)
    height = _AXIS_LABEL + beside + side + MARGIN
    heading = Heading(_title(pairs, name_of), _subtitle(pairs), _note(classes))
    dpi = 120 if has_counts else 90
    with saved_figure(path, max(width, _LEAST_WIDTH), height, heading, dpi) as figure:
        corner = _AXIS_LABEL + beside
        _draw_matrix(axes_at(figure, corner, corner, side, side), pairs, names)
        _draw_scale(figure, axes_at(figure, corner + side + 0.15, corner, 0.16, side))
        if not has_counts:
            listed = axes_at(figure, corner + side + _SCALE, corner, _LIST - 2 * MARGIN, side)
            _list_pairs(listed, pairs, name_of)


def _sizes(names: Sequence[str]) -> tuple[float, float]:
    """Return the side of the matrix, and the room for names beside it, in inches."""
    if not names:
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


def _draw_matrix(axes: Any, pairs: ClassPairs, names: Sequence[str]) -> None:
    """Draw the cells; without names if there are too many classes for them."""
    counts = pairs.matrix(_MOST_CELLS)
    fractions = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(fractions, vmin=0, vmax=1, cmap=_COLORS, interpolation="nearest", aspect="auto")
    step = pairs.step(_MOST_CELLS)
    together = f", {step} to a cell" if step > 1 else ""
    axes.set_xlabel(f"predicted class{together}")
    axes.set_ylabel(f"true class{together}")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
    if not names:
        axes.set(xticks=[], yticks=[])
        return
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    if len(names) <= _MOST_COUNTED:
        _write_counts(axes, counts, fractions)


def _write_counts(axes: Any, counts: NDArray[np.int64], fractions: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if fractions[row, column] > 0.5 else INK
            style = {"ha": "center", "va": "center", "fontsize": SMALL_SIZE}
            axes.text(column, row, f"{count}", color=color, **style)


def _list_pairs(axes: Any, pairs: ClassPairs, name_of: NameOf) -> None:
    """Draw the most confused pairs as bars with their names and counts above them."""
    listed, totals = pairs.most_confused(_PAIRS), pairs.by_true
    panel_title(axes, "Most confused: true class → predicted class")
    counts = [images for _, _, images in listed]
    axes.barh(range(len(listed)), counts, height=0.3, color=BLUE)
    for y, (true, predicted, images) in enumerate(listed):
        text = f"{name_of(true)} → {name_of(predicted)}: {images} of {totals[true]}"
        axes.text(0, y - 0.35, text, va="center", fontsize=SMALL_SIZE)
    axes.set(xlim=(0, 1.05 * max(counts, default=1)), ylim=(_PAIRS - 0.3, -0.8), yticks=[])
    axes.set_xlabel("test images", color=MUTED)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="x", color=PALE)


def _title(pairs: ClassPairs, name_of: NameOf) -> str:
    if not pairs.total:
        return "No test image"
    worst = pairs.most_confused(1)
    if not worst:
        return "Every test image is recognized"
    true, predicted, images = worst[0]
    total = pairs.by_true[true]
    return f"Most confused: {images} of {total} {name_of(true)} taken for {name_of(predicted)}"


def _subtitle(pairs: ClassPairs) -> str:
    right, total = int(pairs.right.sum()), pairs.total
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
