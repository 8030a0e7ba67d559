"""The picture of a diagnosis: the stall by cause as a waterfall, and each part's rate alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.ceilings_plot import draw_ceilings, is_in_use
from feedbench.bench.diagnose.notes import end_to_end_note
from feedbench.bench.diagnose.stall_shares import StallPart
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.figures.figure import saved_figure
from feedbench.bench.figures.heading import Heading
from feedbench.bench.figures.style import (
    BLUE,
    INK,
    MUTED,
    SKY,
    SMALL_SIZE,
    VERMILLION,
    panel_title,
    sentence,
)

_WIDTH, _STEP, _CEILING, _AXES = 10.0, 0.36, 0.27, 0.75  # inches: per bar, per part, per panel
_BAR = 0.7  # height of a bar, of 1
_ROOM = 0.5  # share of the width in which the longest text fits
_SMALLEST = 0.005  # shares below half a point are drawn together
_NAMES = {
    "unexplained": "work that cannot be measured separately",
    "service workers": "work of the service workers",
}


def draw_waterfall(diagnosis: Diagnosis, path: Path, subject: str) -> None:
    """Draw how the causes reduce the consumer's rate to the measured one, and each part alone.

    Without a verdict, only the parts are drawn.

    Args:
        diagnosis: what to draw.
        path: file of the picture.
        subject: loader, batches and consumer.

    Raises:
        RecordError: the file cannot be written.
    """
    steps = _steps(diagnosis)
    heights = [_STEP * (len(steps) + 2) + _AXES] if diagnosis.stall else []
    heights.append(_CEILING * (len(diagnosis.ceilings) + 1) + _AXES)
    heading = Heading(_finding(diagnosis), subject, _note(diagnosis))
    with saved_figure(path, _WIDTH, sum(heights), heading) as figure:
        axes = figure.subplots(
            len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        if diagnosis.stall:
            _draw_steps(axes[0], diagnosis, steps)
        draw_ceilings(axes[-1], diagnosis)


def _steps(diagnosis: Diagnosis) -> list[tuple[str, StallPart]]:
    """Return the name and the share of each cause that is worth a bar, and the rest as one."""
    parts = [part for part in diagnosis.shares if part.stall >= _SMALLEST]
    steps = [(_NAMES.get(part.cause, part.cause), part) for part in parts]
    rest = [part for part in diagnosis.shares if 0 < part.stall < _SMALLEST]
    if rest:
        name = f"{'other causes' if steps else 'all causes'}, each below 0.5 points"
        total = StallPart(cause=rest[0].cause, stall=sum(part.stall for part in rest))
        steps.append((name, total))
    return steps


def _draw_steps(axes: Any, diagnosis: Diagnosis, steps: list[tuple[str, StallPart]]) -> None:
    """Draw the waterfall: from the consumer's own rate at 100 % down to the measured one."""
    assert diagnosis.stall is not None
    names = ["consumer alone", *(name for name, _ in steps), "end to end"]
    rate, reached = diagnosis.end_to_end or 0.0, 1 - diagnosis.stall.value
    axes.barh(0, 1, color=BLUE, height=_BAR)
    _write(axes, 1, 0, f"{rate / reached:,.0f} images/s" if reached else "", before=True)
    level = 1.0
    for y, (_, part) in enumerate(steps, 1):
        _connect(axes, level, y)
        _draw_step(axes, y, level, part, is_bottleneck=_is_bottleneck(diagnosis, part, y))
        level -= part.stall
    last = len(names) - 1
    _connect(axes, level, last)
    _draw_end(axes, last, rate, diagnosis.stall)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(0, 1), ylim=(last + 0.6, -0.6))
    axes.set_xlabel("share of the rate that the consumer reaches alone")
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.tick_params(axis="y", left=False)
    axes.grid(axis="x")
    panel_title(axes, "From the consumer's own rate down to the measured one")


def _connect(axes: Any, level: float, y: float) -> None:
    """Draw the line from the previous bar to this one."""
    axes.vlines(level, y - 1 + _BAR / 2, y - _BAR / 2, color=MUTED, linewidth=0.8)


def _is_bottleneck(diagnosis: Diagnosis, part: StallPart, y: int) -> bool:
    main = diagnosis.bottleneck
    return y == 1 and main is not None and main.cause == part.cause


def _draw_step(axes: Any, y: int, level: float, part: StallPart, *, is_bottleneck: bool) -> None:
    """Draw a bar that ends at a level, with its share and what would remain without it."""
    left = level - part.stall
    axes.barh(y, part.stall, left=left, color=VERMILLION if is_bottleneck else SKY, height=_BAR)
    text = f"{'the bottleneck: ' if is_bottleneck else ''}-{points(part.stall)} points"
    if part.stall_without is not None:
        text += f"; without it alone, {part.stall_without:.0%} idle"
    style: dict[str, Any] = {"fontweight": "bold" if is_bottleneck else "normal"}
    widest = max(left, 1 - level, part.stall)  # a third at least, in which all but one text fit
    if left == widest or left > _ROOM:
        _write(axes, left, y, text, before=True, color=INK, **style)
    elif 1 - level == widest:
        _write(axes, level, y, text, **style)
    else:
        _write(axes, left, y, text, color="white", **style)


def _draw_end(axes: Any, y: int, rate: float, stall: Estimate) -> None:
    """Draw the measured rate with its interval."""
    reached = 1 - stall.value
    axes.barh(y, reached, color=BLUE, height=_BAR)
    if stall.low is not None and stall.high is not None:
        error = [[stall.high - stall.value], [stall.value - stall.low]]
        axes.errorbar(reached, y, xerr=error, color=INK, capsize=3, linewidth=1.2)
    low, high = stall.interval or (stall.value, stall.value)
    is_long = reached > _ROOM
    _write(axes, 1 - (high if is_long else low), y, f"{rate:,.0f} images/s, {reached:.0%}", is_long)


def _write(axes: Any, x: float, y: float, text: str, before: bool = False, **style: Any) -> None:
    """Write to the right of a point, or before it: by default white, in the end of a bar."""
    color = style.pop("color", "white" if before else INK)
    shift, align = (-6, "right") if before else (6, "left")
    place = {"xytext": (shift, 0), "textcoords": "offset points", "va": "center", "ha": align}
    axes.annotate(text, (x, y), color=color, fontsize=SMALL_SIZE + 0.5, **place, **style)


def points(share: float) -> str:
    """Return a share in percentage points."""
    return f"{100 * share:.0f}" if share >= 0.01 else f"{100 * share:.1f}"


def _finding(diagnosis: Diagnosis) -> str:
    """Return the bottleneck and its share."""
    main, stall = diagnosis.bottleneck, diagnosis.stall
    if main is None or stall is None:
        return "No verdict: parts are missing, or were not measured well enough"
    idle = f"idles {stall.value:.0%} of the time"
    if main.cause == "accelerator":
        return f"The consumer is the bottleneck: it {idle}"
    if main.cause == "transfer":
        return f"The copy to the device is the bottleneck; the consumer {idle}"
    name = _NAMES.get(main.cause, main.cause)
    return (
        f"{sentence(name)} is the bottleneck: {points(main.stall)} of the {points(stall.value)} "
        "points of idle time"
    )


def _note(diagnosis: Diagnosis) -> str:
    notes = []
    if diagnosis.stall and diagnosis.stall.value >= _SMALLEST:
        notes.append(
            "Causes overlap in time: a share is the mean over all orders in which they could be "
            "removed, and the shares add up to the idle time."
        )
    notes += ["Whiskers: 95 % intervals.", *filter(None, [end_to_end_note(diagnosis)])]
    if not all(is_in_use(ceiling, diagnosis) for ceiling in diagnosis.ceilings):
        notes.append("Hollow: slower than the loader, so not done for each image.")
    return " ".join(notes)
