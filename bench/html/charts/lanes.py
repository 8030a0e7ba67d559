"""Lanes over a common time: each reading has a strip of its own, and all zoom together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from feedbench.bench.html.charts.colors import FAINT
from feedbench.bench.html.charts.frame import HALO, Spec, frame

_LABEL, _GAP = 19, 11  # pixels above and below the strip of a lane

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Readings:
    """What a meter read, each reading over a period; there may be millions.

    Attributes:
        begin, end: of the periods, in seconds of the common time.
        low, high: smallest and largest reading of each period.
    """

    begin: Floats
    end: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, begin: ArrayLike, end: ArrayLike, values: ArrayLike) -> Self:
        """Return one reading per period, without those that are not finite."""
        columns = np.array([begin, end, values], np.float64)
        first, last, value = columns[:, np.isfinite(columns).all(axis=0)]
        return cls(first, last, value, value)

    @property
    def highest(self) -> float:
        """The largest reading; 0 without any."""
        return float(self.high.max(initial=0.0))


@dataclass(frozen=True)
class Lane:
    """A strip with the readings of one meter.

    Attributes:
        name: with the unit and the reading at full height.
        readings: none where nothing was read.
        text: returns a reading as it is printed.
        full: the reading at full height, or of full colour.
        shaded: whether readings are shades of a full strip instead of heights.
        height: in pixels.
    """

    name: str
    readings: Readings
    color: str
    text: Callable[[float], str]
    full: float = 1.0
    shaded: bool = False
    height: int = 34


def lanes(
    strips: Sequence[Lane], breaks: Sequence[float], end: float, title: str, columns: int
) -> Spec:
    """Return a chart with one lane below the other.

    The horizontal axis can be dragged and zoomed.

    Args:
        breaks: times at which a vertical line separates two blocks.
        end: of the common time, in seconds.
        title: of the time axis.
        columns: largest number of periods per lane; of more, those that begin in the same column
            are drawn as one.
    """
    marks: list[Spec] = []
    labels: list[Spec] = []
    top = 0
    for number, lane in enumerate(strips):
        labels.append({"l": number, "n": lane.name, "c": lane.color, "y": top + _LABEL // 2 - 1})
        bottom = top + _LABEL + lane.height
        shown = decimated(lane.readings, end, columns)
        marks += [{"l": number, **one} for one in _marks(lane, shown, bottom)]
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


def decimated(readings: Readings, end: float, columns: int) -> Readings:
    """Return at most `columns` periods: what begins in the same column becomes one.

    Args:
        end: of the common time, in seconds. In a damaged record, readings may lie beyond it.
    """
    if len(readings.begin) <= columns:
        return readings
    column = np.clip(readings.begin * (columns / end), 0, columns - 1).astype(int)
    order = np.argsort(column, kind="stable")
    first = np.flatnonzero(np.diff(column[order], prepend=-1))
    return Readings(
        np.minimum.reduceat(readings.begin[order], first),
        np.maximum.reduceat(readings.end[order], first),
        np.minimum.reduceat(readings.low[order], first),
        np.maximum.reduceat(readings.high[order], first),
    )


def _marks(lane: Lane, shown: Readings, bottom: float) -> Iterator[Spec]:
    """Yield a rectangle up to the smallest reading, and a paler one on it up to the largest."""
    periods = np.column_stack([shown.begin, shown.end, shown.low, shown.high])
    for begin, end, lowest, highest in periods.tolist():
        mark = {"a": round(begin, 4), "b": round(end, 4), "v": lane.text(highest)}
        low, high = (min(1.0, one / lane.full) for one in (lowest, highest))
        if lane.shaded:
            yield mark | _area(bottom - lane.height, bottom, 0.06 + 0.94 * high)
            continue
        yield mark | _area(bottom - lane.height * low, bottom, 1.0)
        if low < high:
            yield mark | _area(bottom - lane.height * high, bottom - lane.height * low, 0.5)


def _area(top: float, bottom: float, opacity: float) -> Spec:
    """Return the rest of a rectangle, with short names since there are very many.

    Args:
        top, bottom: in pixels from the top of the chart.
    """
    return {"t": round(top, 1), "u": round(bottom, 1), "o": round(opacity, 2)}


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
        "mark": {
            "type": "text",
            "align": "left",
            "baseline": "middle",
            "limit": {"expr": "width"},
            **HALO,
        },
        "encoding": {
            "x": {"value": 0},
            "y": {**y, "field": "y"},
            "text": {"field": "n", "type": "nominal"},
        },
    }
