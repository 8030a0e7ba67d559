"""What all charts share: colours of the data, layers, axes, and rows with a label above them.

Text, axes and background have no colour here: the theme of the page gives them, light or dark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from feedbench.bench.html.charts.colors import ACCENT, COST, FAINT, PAPER, PLAIN

Spec = dict[str, Any]
Role = Literal["marked", "plain", "faint", "cost"]

# Marked, cost and plain differ in lightness too, so they can be told apart without colour.
ROLES: dict[str, str] = {"marked": ACCENT, "plain": PLAIN, "faint": FAINT, "cost": COST}
ROW = 44  # pixels per row: a line of text above its mark
_TEXT_AT, _MARK_AT = -9, 9  # pixels from the middle of a row
_CHARACTERS = {400: 7.4, 700: 8.4}  # pixels, of the values at the right, by their weight
_NARROW = 480  # pixels of a chart on a phone
_HYPHEN_OF_NUMBER = re.compile(r"(?<![\w.])-(?=\.?\d)")
# Of texts that a line across all rows may cross: it is interrupted there.
HALO: dict[str, Any] = {"stroke": PAPER, "strokeWidth": 4, "strokeJoin": "round"}


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


def rows_axis(count: int, *, header: bool) -> Spec:
    """Return the vertical encoding of rows numbered from 0, without an axis.

    Args:
        header: whether row -1 is above them, for the names of reference lines.
    """
    domain = list(range(-1 if header else 0, count))
    return {"field": "row", "type": "ordinal", "axis": None, "scale": {"domain": domain}}


def mark_in_row(kind: str, **options: Any) -> Spec:
    """Return a mark that stands in the lower half of its row."""
    return {"type": kind, "yOffset": _MARK_AT, **options}


def row_labels(y: Spec, texts: Sequence[str], briefs: Sequence[str]) -> list[Spec]:
    """Return the layers with the name of each row at the left and its value at the right.

    Args:
        texts: the values, which the names leave room for.
        briefs: those of a narrow chart.
    """
    name = {"type": "text", "align": "left", "yOffset": _TEXT_AT, **HALO}
    value = {"type": "text", "align": "right", "yOffset": _TEXT_AT, **HALO}
    text = {"condition": {"test": f"width < {_NARROW}", "field": "short"}, "field": "text"}

    def limit(weight: int) -> Spec:
        room, less = (_pixels(values, weight) for values in (texts, briefs))
        return {"expr": f"max(80, width - (width < {_NARROW} ? {less} : {room}))"}

    return [
        layer
        for test, weight in (("datum.role !== 'marked'", 400), ("datum.role === 'marked'", 700))
        for layer in (
            _label(
                {**name, "limit": limit(weight), "fontWeight": weight},
                0,
                {"field": "name"},
                y,
                test,
            ),
            _label({**value, "fontWeight": weight}, "width", text, y, test),
        )
    ]


def short(text: str) -> str:
    """Return a value without its interval, which the mark shows."""
    return text.partition(" [")[0]


def _pixels(texts: Sequence[str], weight: int) -> int:
    return round(_CHARACTERS[weight] * max(map(len, texts), default=0)) + 12


def _label(mark: Spec, x: int | str, text: Spec, y: Spec, test: str) -> Spec:
    return {
        "transform": [{"filter": test}],
        "mark": mark,
        "encoding": {"x": {"value": x}, "y": y, "text": text},
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
    if form := options.get("format"):
        axis["format"] = form
    return {"type": "quantitative", "scale": scale, "axis": axis}
