"""The rates of the parts alone as dots on a logarithmic axis."""

from __future__ import annotations

from typing import Any

from feedbench.bench.diagnose.ceilings import Ceiling
from feedbench.bench.diagnose.table import label
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.figures.heading import wrapped
from feedbench.bench.figures.style import (
    BLUE,
    INK,
    MUTED,
    PALE,
    SMALL_SIZE,
    VERMILLION,
    panel_title,
    plain_log_scale,
)

_FOR_RATES = 1.12  # length of the axis, of that which its intervals take
_LABEL_INCHES = 2.4  # widest label; longer ones are wrapped
_NOT_USED = 0.8  # a part that is slower than this share of the loader's rate is not in use
_ALWAYS_IN_USE = (
    "loader",
    "loader, other size",
    "consumer",
    "end to end",
    "fixed",
    "reference",
    "rewritten",
    "transfer",
)


def draw_ceilings(axes: Any, diagnosis: Diagnosis) -> None:
    """Draw one line per part: its rate with its interval, or why it was not measured."""
    axes.set_xlim(*_limits(diagnosis))
    plain_log_scale(axes, "x")
    if diagnosis.end_to_end:
        axes.axvline(diagnosis.end_to_end, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for y, ceiling in enumerate(diagnosis.ceilings):
        axes.axhline(y, color=PALE, linewidth=0.8, zorder=0)
        if ceiling.images_per_second:
            _draw_rate(axes, y, ceiling, diagnosis)
        else:
            _write_error(axes, y, ceiling)
    names = [
        "\n".join(wrapped(label(ceiling), SMALL_SIZE, _LABEL_INCHES))
        for ceiling in diagnosis.ceilings
    ]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", left=False)
    axes.set_xlabel("images per second, logarithmic; dashed line: end to end")
    panel_title(axes, "What each part reaches alone")


def _limits(diagnosis: Diagnosis) -> tuple[float, float]:
    """Return the ends of the axis: it holds all intervals, and the rates right of them."""
    rates = [one.images_per_second for one in diagnosis.ceilings if one.images_per_second]
    ends = [end for rate in rates for end in rate.interval or (rate.value,)] or [1.0]
    low, high = min(ends) / 1.3, max(ends) * 1.3
    return low, low * (high / low) ** _FOR_RATES


def _draw_rate(axes: Any, y: int, ceiling: Ceiling, diagnosis: Diagnosis) -> None:
    rate = ceiling.images_per_second
    assert rate is not None
    color = _color(ceiling, diagnosis)
    low, high = rate.interval or (rate.value, rate.value)
    axes.plot([low, high], [y, y], color=color, linewidth=2)
    face = color if is_in_use(ceiling, diagnosis) else "white"
    axes.plot([rate.value], [y], "o", color=color, markerfacecolor=face, markersize=6)
    place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
    over = {"color": INK, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.5}}
    axes.annotate(f"{rate.value:,.0f}", (high, y), fontsize=SMALL_SIZE, **place, **over)


def _write_error(axes: Any, y: int, ceiling: Ceiling) -> None:
    """Say why a part has no rate, in one line."""
    reason = ceiling.error or next(iter(ceiling.unproven), "no block was timed")
    lines = wrapped(f"not measured: {reason}", SMALL_SIZE, 6.0)
    text = lines[0] if len(lines) == 1 else f"{lines[0]} …"
    style = {"fontsize": SMALL_SIZE, "color": MUTED, "va": "center", "style": "italic"}
    axes.text(0.01, y, text, transform=axes.get_yaxis_transform(), **style)


def _color(ceiling: Ceiling, diagnosis: Diagnosis) -> str:
    main = diagnosis.bottleneck
    if main is not None and main.cause == ceiling.name:
        return VERMILLION
    return BLUE if ceiling.name in ("consumer", "end to end", "loader") else MUTED


def is_in_use(ceiling: Ceiling, diagnosis: Diagnosis) -> bool:
    """Whether the loader can do this for each image: not if it is faster than this part.

    So are parts that a cache replaces.
    """
    if ceiling.name in _ALWAYS_IN_USE or ceiling.images_per_second is None:
        return True
    fastest = max(_rates(diagnosis, ceiling.name, ceiling.cache_state), default=0.0)
    return fastest >= _NOT_USED * max(_rates(diagnosis, "loader", ceiling.cache_state), default=0.0)


def _rates(diagnosis: Diagnosis, name: str, state: str | None) -> list[float]:
    return [
        one.images_per_second.value
        for one in diagnosis.ceilings
        if one.name == name and one.images_per_second and state in (None, one.cache_state)
    ]
