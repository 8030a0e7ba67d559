"""Draws the learning curves of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.figures.figure import saved_figure
from feedbench.bench.figures.heading import Heading
from feedbench.bench.figures.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    SMALL_SIZE,
    panel_title,
    plain_log_scale,
)

if TYPE_CHECKING:
    from feedbench.trainer import Epoch

CURVES = "learning-curves.png"
_DECADE = 8.0  # losses that span more than this factor are drawn on a logarithmic axis
_COLORS = {"training": BLUE, "validation": ORANGE}


def draw_curves(
    epochs: Sequence[Epoch],
    path: Path,
    test_accuracy: float | None = None,
    subject: str = "",
) -> None:
    """Draw loss and accuracy of training and validation over the epochs, the best one marked.

    A model without an accuracy has only its loss drawn.

    Args:
        epochs: at least one.
        path: file of the picture.
        test_accuracy: of the trained model, 0 to 1; None if it is unknown.
        subject: loader, network and batches, in a line.

    Raises:
        RecordError: the file cannot be written.
    """
    best = best_epoch(epochs)
    names = ["loss", *([] if _is_unknown(epochs, "accuracy") else ["accuracy"])]
    heading = Heading(_title(epochs, best, test_accuracy), subject)
    with saved_figure(path, 5.5 * len(names) if len(names) > 1 else 7.5, 3.8, heading) as figure:
        for column, name in enumerate(names, start=1):
            axes = figure.add_subplot(1, len(names), column)
            _draw(axes, epochs, name, best)


def best_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """Return the epoch whose model is kept as the best: the last one with the highest score."""
    known = [epoch for epoch in epochs if not math.isnan(epoch.score)] or list(epochs)
    return max(known, key=lambda epoch: (epoch.score, epoch.epoch))


def _title(epochs: Sequence[Epoch], best: Epoch, test_accuracy: float | None) -> str:
    if math.isnan(best.validation_accuracy):
        found = f"The validation loss is lowest in epoch {best.epoch}: {best.validation_loss:.3f}"
    else:
        verb = "is best" if len(epochs) > 1 else "is"
        found = f"Validation accuracy {verb} {best.validation_accuracy:.1%} in epoch {best.epoch}"
        if len(epochs) > 1:
            found = (
                f"Validation accuracy peaks at {best.validation_accuracy:.1%} in epoch {best.epoch}"
                f" of {len(epochs)}"
            )
    return found if test_accuracy is None else f"{found}; test accuracy {test_accuracy:.1%}"


def _is_unknown(epochs: Sequence[Epoch], name: str) -> bool:
    return not np.isfinite([_values(epochs, name, phase) for phase in _COLORS]).any()


def _values(epochs: Sequence[Epoch], name: str, phase: str) -> NDArray[np.float64]:
    field = name if phase == "training" else f"{phase}_{name}"
    return np.array([getattr(epoch, field) for epoch in epochs], float)


def _draw(axes: Any, epochs: Sequence[Epoch], name: str, best: Epoch) -> None:
    """Draw one curve per phase, with its name and last value at its end."""
    numbers = np.array([epoch.epoch for epoch in epochs])
    curves = {phase: _values(epochs, name, phase) for phase in _COLORS}
    finite = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    is_log = name == "loss" and len(finite) > 0 and 0 < _DECADE * finite.min() < finite.max()
    for phase, values in curves.items():
        marker = "o" if len(numbers) == 1 else None
        axes.plot(numbers, values, color=_COLORS[phase], linewidth=1.8, marker=marker)
    axes.axvline(best.epoch, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    if is_log:
        axes.set_ylim(finite.min() / 1.15, finite.max() * 1.15)
        plain_log_scale(axes, "y")
    elif name == "accuracy":
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel(f"epoch (dashed: the best, {best.epoch})")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid()
    panel_title(axes, f"{name}, logarithmic" if is_log else name)
    _name_curves(axes, numbers[-1], curves, name)


def _name_curves(axes: Any, last: float, curves: dict[str, NDArray[np.float64]], name: str) -> None:
    """Write name and last value of each curve to the right of it, apart from each other."""
    ends = {phase: values[-1] for phase, values in curves.items() if np.isfinite(values[-1])}
    places = {
        phase: axes.transAxes.inverted().transform(axes.transData.transform((last, end)))[1]
        for phase, end in ends.items()
    }
    for phase, place in _apart(places).items():
        value = f"{ends[phase]:.1%}" if name == "accuracy" else f"{ends[phase]:.3f}"
        style = {"fontsize": SMALL_SIZE, "color": INK, "va": "center", "annotation_clip": False}
        where = {"xycoords": "axes fraction", "xytext": (14, 0), "textcoords": "offset points"}
        axes.annotate(f"{phase} {value}", (1, place), **where, **style)
        axes.plot(
            [1.012],
            [place],
            "s",
            color=_COLORS[phase],
            markersize=6,
            clip_on=False,
            transform=axes.transAxes,
        )


def _apart(places: dict[str, float], least: float = 0.06) -> dict[str, float]:
    """Move two heights apart if they are closer than a line of text, as shares of the axes."""
    ordered = sorted(places, key=lambda name: places[name])
    if len(ordered) < 2:
        return places
    low, high = ordered
    missing = max(0.0, least - (places[high] - places[low])) / 2
    return {low: places[low] - missing, high: places[high] + missing}
