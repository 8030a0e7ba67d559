"""Lanes over a common time: each reading has a strip of its own, and all zoom together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    marks: list[Spec] = []
    labels: list[Spec] = []
    top = 0
    for number, lane in enumerate(strips):
        labels.append({"l": number, "n": lane.name, "c": lane.color, "y": top + _LABEL // 2 - 1})
        bottom = top + _LABEL + lane.height
        marks += [{"l": number, **one} for span in lane.spans for one in _marks(lane, span, bottom)]
        top = bottom + _GAP
    height = max(top, _LABEL)
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [height, 0], "nice": False}}
    x = {
        "type": "quantitative",
        "scale": {"domain": [0, end], "nice": False},
        "axis": {"title": title, "tickCount": 6, "grid": False},
    }
    layers = [_rectangles(x, y, labels), _breaks(x, breaks), _names(labels, y)]
    return frame(layers, marks, height)


def _marks(lane: Lane, span: Span, bottom: float) -> Iterator[Spec]:
    """Yield a rectangle up to the smallest reading, and a paler one on it up to the largest."""
    if lane.shaded:
        yield _rectangle(span, (bottom - lane.height, bottom), 0.06 + 0.94 * span.high)
        return
    low, high = bottom - lane.height * span.low, bottom - lane.height * span.high
    yield _rectangle(span, (low, bottom), 1.0)
    if high < low:
        yield _rectangle(span, (high, low), 0.5)


def _rectangle(span: Span, edges: tuple[float, float], opacity: float) -> Spec:
    """Return a rectangle with short names of its fields, since there are very many.

    Args:
        edges: its top and its bottom, in pixels from the top of the chart.
    """
    return {
        "a": round(span.begin, 4),
        "b": round(span.end, 4),
        "t": round(edges[0], 1),
        "u": round(edges[1], 1),
        "o": round(opacity, 2),
        "v": span.text,
    }


def _rectangles(x: Spec, y: Spec, labels: Sequence[Spec]) -> Spec:
    """Return the layer of all readings; names and colours are looked up by the lane's number."""
    names = {"data": {"values": list(labels)}, "key": "l", "fields": ["n", "c"]}
    return {
        "transform": [{"lookup": "l", "from": names}],
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
            "text": {"field": "n", "type": "nominal"},
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
