"""Lines over steps of one kind: epochs of a training, runs of a history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from feedbench.bench.html.charts.colors import ACCENT, COST, FAINT, GOOD, OTHER, PLAIN
from feedbench.bench.html.charts.frame import Spec, frame, log_ticks

_COLORS = (ACCENT, COST, GOOD, OTHER, PLAIN)
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 0])  # told apart without colour, too
_DECADE = 10.0  # largest ÷ smallest value from which the axis is logarithmic
_HEIGHT = 260  # pixels
_LINE = 15  # pixels per line of text
_CHARACTER = 8.4  # pixels of a character of their names, right of the last point
_LEAST_LINES = 0.55  # of the width, beside long names
_MOST_TICKS = 10

Line = Sequence[tuple[float, float | None]]  # position and value; None where it is unknown


def curves(
    lines: Mapping[str, Line],
    across: str,
    title: str,
    best: float | None = None,
    form: str = "",
) -> Spec:
    """Return a chart of lines with their names at their ends.

    Args:
        lines: by name.
        across: title of the horizontal axis.
        title: of the vertical axis, with the unit.
        best: position to mark with a vertical line.
        form: D3 format of the values; shares in percent never have a logarithmic axis.
    """
    data: list[Spec] = [
        {"x": x, "y": y, "name": name}
        for name, line in lines.items()
        for x, y in line
        if y is not None
    ]
    known = [row["y"] for row in data] or [0.0]
    is_log = not form.endswith("%") and spans_decades(known)
    scale = {"type": "log"} if is_log else {"zero": False}
    axis: Spec = {"title": title + (", logarithmic" if is_log else ""), "format": form or "~g"}
    if is_log:
        axis["values"] = log_ticks(min(known), max(known))
    y = {"type": "quantitative", "scale": {**scale, "nice": not is_log}, "axis": axis}
    several = len(lines) > 1
    for_names = 16 + round(_CHARACTER * max(map(len, lines))) if several else 8
    x = _positions([row["x"] for row in data] or [0.0], across, for_names)
    ends = _ends(data, x, y, is_log=is_log) if several else []
    layers = [*_best(best, x, data), *_lines(lines, x, y, form), *ends]
    return frame(layers, data, _HEIGHT)


def spans_decades(values: Sequence[float]) -> bool:
    """Whether all values are positive, and the largest is ten times the smallest or more."""
    return min(values) > 0 and max(values) / min(values) >= _DECADE


def _positions(steps: Sequence[float], title: str, room: int) -> Spec:
    """Return the horizontal encoding.

    Args:
        room: for the names of the lines, right of the last point, in pixels.
    """
    first, last = min(steps), max(steps)
    every = math.ceil((last - first + 1) / _MOST_TICKS)
    ticks = sorted({step for step in steps if not (step - first) % every})
    return {
        "type": "quantitative",
        "scale": {
            "domain": [first, last if last > first else first + 1],
            "nice": False,
            "range": [0, {"expr": f"max({_LEAST_LINES} * width, width - {room})"}],
        },
        "axis": {
            "title": title,
            "values": ticks,
            "format": "d",
            "grid": False,
            "labelOverlap": True,
        },
    }


def _best(best: float | None, x: Spec, data: Sequence[Spec]) -> list[Spec]:
    """Return a vertical line with its name where the lines are not."""
    if best is None:
        return []
    rule = {"type": "rule", "color": FAINT, "strokeDash": [4, 3]}
    first, last = x["scale"]["domain"]
    values = [row["y"] for row in data]
    here = max((row["y"] for row in data if row["x"] == best), default=0.0)
    is_low = here < (min(values) + max(values)) / 2
    y: int | Spec = 8 if is_low else {"expr": "height - 8"}
    is_left = best < (first + last) / 2
    text: Spec = {"type": "text", "align": "left" if is_left else "right", "y": y}
    text["dx"] = 4 if is_left else -4
    at = {**x, "datum": best}
    return [
        {"data": {"values": [{}]}, "mark": rule, "encoding": {"x": at}},
        {
            "data": {"values": [{}]},
            "mark": text,
            "encoding": {"x": at, "text": {"value": f"best: {best:g}"}},
        },
    ]


def _lines(lines: Mapping[str, Line], x: Spec, y: Spec, form: str) -> list[Spec]:
    names = list(lines)
    color = {
        "field": "name",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": names, "range": [_COLORS[i % 5] for i in range(len(names))]},
    }
    dash = {
        "field": "name",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": names, "range": [_DASHES[i % 5] for i in range(len(names))]},
    }
    encoding = {"x": {**x, "field": "x"}, "y": {**y, "field": "y"}, "color": color}
    tooltip = [
        {"field": "name", "type": "nominal", "title": "what"},
        {"field": "x", "type": "quantitative", "title": x["axis"]["title"]},
        {"field": "y", "type": "quantitative", "title": "value", "format": form or ".4g"},
    ]
    return [
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {**encoding, "strokeDash": dash}},
        {
            "mark": {"type": "point", "filled": True, "size": 36, "opacity": 1, "strokeWidth": 0},
            "encoding": {**encoding, "tooltip": tooltip},
        },
    ]


def _ends(data: Sequence[Spec], x: Spec, y: Spec, *, is_log: bool) -> list[Spec]:
    """Return the names of the lines, right of their last points and apart from each other."""
    last = {row["name"]: row for row in data}
    ends = sorted(last.values(), key=lambda row: -float(row["y"]))
    heights = [math.log(row["y"]) if is_log else row["y"] for row in ends]
    return [
        {
            "data": {"values": [row]},
            "mark": {"type": "text", "align": "left", "dx": 8, "dy": dy, "fontWeight": 600},
            "encoding": {
                "x": {**x, "field": "x"},
                "y": {**y, "field": "y"},
                "text": {"field": "name", "type": "nominal"},
            },
        }
        for row, dy in zip(ends, _apart(heights, data, is_log=is_log), strict=True)
    ]


def _apart(heights: Sequence[float], data: Sequence[Spec], *, is_log: bool) -> list[float]:
    """Return by how many pixels to move each name down so that none covers another."""
    values = [math.log(row["y"]) if is_log else row["y"] for row in data] or [0.0]
    per_pixel = (max(values) - min(values)) / _HEIGHT or 1.0
    moved: list[float] = []
    lowest = -math.inf  # pixels from the top at which the last name stands
    for height in heights:
        at = (max(values) - height) / per_pixel
        lowest = max(at, lowest + _LINE)
        moved.append(round(lowest - at, 1))
    return moved
