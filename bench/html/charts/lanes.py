"""Lanes over a common time: each reading has a strip of its own, and all zoom together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from feedbench.bench.html.charts.colors import FAINT
from feedbench.bench.html.charts.frame import Spec, frame

_LABEL, _GAP = 19, 11  # pixels above and below the strip of a lane


@dataclass(frozen=True)
class Span:
    """A reading over a period.

    Attributes:
        begin, end: in seconds of the common time.
        low, high: smallest and largest reading in the period; as fractions of the lane's height
            where it shows height, of full colour where it shows shades.
        text: the reading as it is printed.
    """

    begin: float
    end: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Lane:
    """A strip with the readings of one meter.

    Attributes:
        name: with the unit and the reading at full height.
        spans: in order of time; none where nothing was read.
        shaded: whether readings are shades of a full strip instead of heights.
        height: in pixels.
    """

    name: str
    spans: Sequence[Span]
    color: str
    shaded: bool = False
    height: int = 34


def lanes(strips: Sequence[Lane], breaks: Sequence[float], end: float, title: str) -> Spec:
    """Return a chart with one lane below the other.

    The horizontal axis can be dragged and zoomed.

    Args:
        breaks: times at which a vertical line separates two blocks.
        end: of the common time, in seconds.
        title: of the time axis.
    """
    marks, labels, top = [], [], 0
    for lane in strips:
        labels.append({"y": top + _LABEL // 2 - 1, "name": lane.name})
        top += _LABEL
        marks += [_rectangle(lane, span, top + lane.height) for span in lane.spans]
        top += lane.height + _GAP
    height = max(top, _LABEL)
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [height, 0], "nice": False}}
    x = {
        "type": "quantitative",
        "scale": {"domain": [0, end], "nice": False},
        "axis": {"title": title, "tickCount": 6, "grid": False},
    }
    layers = [_rectangles(x, y), _breaks(x, breaks), _names(labels, y)]
    return frame(layers, marks, height)


def _rectangle(lane: Lane, span: Span, bottom: float) -> Spec:
    """Return a rectangle; one with a range is drawn up to its top, and paler."""
    full = lane.shaded
    top = bottom - lane.height * (1.0 if full else span.high)
    opacity = 0.06 + 0.94 * span.high if full else (1.0 if span.low == span.high else 0.85)
    return {
        "a": round(span.begin, 4),
        "b": round(span.end, 4),
        "t": round(top, 1),
        "u": bottom,
        "o": round(opacity, 2),
        "c": lane.color,
        "n": lane.name,
        "v": span.text,
    }


def _rectangles(x: Spec, y: Spec) -> Spec:
    return {
        "params": [
            {
                "name": "zoom",
                "select": {"type": "interval", "encodings": ["x"]},
                "bind": "scales",
            }
        ],
        "mark": {"type": "rect", "clip": True, "strokeWidth": 0.6},
        "encoding": {
            "x": {**x, "field": "a"},
            "x2": {"field": "b"},
            "y": {**y, "field": "t"},
            "y2": {"field": "u"},
            "fill": {"field": "c", "type": "nominal", "scale": None},
            "stroke": {"field": "c", "type": "nominal", "scale": None},
            "opacity": {"field": "o", "type": "quantitative", "scale": None},
            "tooltip": [
                {"field": "n", "type": "nominal", "title": "what"},
                {"field": "v", "type": "nominal", "title": "value"},
                {"field": "a", "type": "quantitative", "title": "from, s", "format": ".3f"},
                {"field": "b", "type": "quantitative", "title": "to, s", "format": ".3f"},
            ],
        },
    }


def _breaks(x: Spec, breaks: Sequence[float]) -> Spec:
    return {
        "data": {"values": [{"at": at} for at in breaks]},
        "mark": {"type": "rule", "color": FAINT, "strokeDash": [2, 3], "clip": True},
        "encoding": {"x": {**x, "field": "at"}},
    }


def _names(labels: Sequence[Spec], y: Spec) -> Spec:
    return {
        "data": {"values": list(labels)},
        "mark": {"type": "text", "align": "left", "baseline": "middle", "limit": {"expr": "width"}},
        "encoding": {
            "x": {"value": 0},
            "y": {**y, "field": "y"},
            "text": {"field": "name", "type": "nominal"},
        },
    }


def decimated(spans: Sequence[Span], end: float, columns: int) -> list[Span]:
    """Return at most `columns` spans: what shares a column becomes one with its extremes.

    Args:
        end: of the common time, in seconds.
    """
    if len(spans) <= columns:
        return list(spans)
    width = end / columns
    kept: list[Span] = []
    for span in spans:
        if kept and int(kept[-1].begin / width) == int(span.begin / width):
            kept[-1] = _joined(kept[-1], span)
        else:
            kept.append(span)
    return kept


def _joined(one: Span, other: Span) -> Span:
    low, high = min(one.low, other.low), max(one.high, other.high)
    text = one.text if one.high >= other.high else other.text
    return replace(one, end=other.end, low=low, high=high, text=text)
