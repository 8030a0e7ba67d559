"""What all charts share: colours of the data, layers and axes.

Text, axes and background have no colour here: the theme of the page gives them, light or dark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from feedbench.bench.html.charts.colors import ACCENT, COST, FAINT, PAPER, PLAIN

Spec = dict[str, Any]
Role = Literal["marked", "plain", "faint", "cost"]

# Marked, cost and plain differ in lightness too, so they can be told apart without colour.
ROLES: dict[str, str] = {"marked": ACCENT, "plain": PLAIN, "faint": FAINT, "cost": COST}
# Of texts that a line may cross: it is interrupted there.
HALO: Spec = {"stroke": PAPER, "strokeWidth": 4, "strokeJoin": "round"}
_FEW_POWERS = 4  # of ten, on a logarithmic axis with three labels for each
_HYPHEN_OF_NUMBER = re.compile(r"(?<![\w.])-(?=\.?\d)")


def frame(layers: Sequence[Spec], values: Sequence[Spec], height: int, **more: Any) -> Spec:
    """Return a chart of several layers over the same data.

    Args:
        values: one per mark.
        height: of the plot in pixels.
    """
    data = {"values": [_with_minus_signs(value) for value in values]}
    return {"height": height, "data": data, "layer": list(layers), **more}


def _with_minus_signs(value: Spec) -> Spec:
    """Return a row whose texts have minus signs, as D3 writes them on the axes.

    Tables keep the hyphens of Python's numbers: copied rows go into spreadsheets.
    """
    texts = {name: value[name] for name in ("text", "short") if name in value}
    return value | {
        name: _HYPHEN_OF_NUMBER.sub("\N{MINUS SIGN}", text) for name, text in texts.items()
    }


def role_color() -> Spec:
    """Return the encoding of the colour of a row."""
    scale = {"domain": list(ROLES), "range": list(ROLES.values())}
    return {"field": "role", "type": "nominal", "scale": scale, "legend": None}


def row_tooltip() -> list[Spec]:
    """Return what is shown when the mark of a row is hovered."""
    return [
        {"field": "name", "type": "nominal", "title": "what"},
        {"field": "text", "type": "nominal", "title": "value"},
    ]


def value_axis(title: str, low: float, high: float, **options: Any) -> Spec:
    """Return the horizontal encoding of a quantity.

    Args:
        title: with the unit.
        low, high: ends of the axis.
        options: `format` of its labels, and `log` for a logarithmic axis.
    """
    kind = {"type": "log", "nice": False} if options.get("log") else {"nice": True, "zero": False}
    scale: Spec = {"domain": [low, high], **kind}
    axis: Spec = {"title": title, "tickCount": 5, "labelOverlap": True, "labelSeparation": 6}
    if options.get("log"):
        axis["values"] = log_ticks(low, high)
    if form := options.get("format"):
        axis["format"] = form
    return {"type": "quantitative", "scale": scale, "axis": axis}


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of each power of ten between two values; of many powers, only 1."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(powers) <= _FEW_POWERS else (1,)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]
