"""Rates over many runs of the same bench, one line per loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from feedbench.bench.html.charts.colors import ACCENT, COST, GOOD, OTHER, PLAIN
from feedbench.bench.html.charts.frame import Spec, frame

_HEIGHT = 300  # pixels
_COLORS = [ACCENT, COST, GOOD, OTHER, PLAIN]
_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross"]


@dataclass(frozen=True)
class Run:
    """The rate of a loader in one run.

    Attributes:
        note: shown on hover, such as the commit.
    """

    time: datetime
    name: str
    value: float
    low: float | None
    high: float | None
    note: str


def history_lines(runs: Sequence[Run]) -> Spec:
    """Return a chart of rates by time; it can be dragged and zoomed."""
    names = list(dict.fromkeys(run.name for run in runs))
    data = [{**vars(run), "time": int(run.time.timestamp() * 1000)} for run in runs]
    color = {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": names, "range": [_COLORS[i % 5] for i in range(len(names))]},
        "legend": {"title": None, "orient": "top", "columns": 1, "labelLimit": 280},
    }
    shape = {
        **color,
        "scale": {"domain": names, "range": [_SHAPES[i % 5] for i in range(len(names))]},
    }
    x = {
        "field": "time",
        "type": "temporal",
        "axis": {"title": "end of the run", "grid": False, "tickCount": 6, "labelOverlap": True},
    }
    y: Spec = {
        "type": "quantitative",
        "scale": {"zero": True},
        "axis": {"title": "images per second"},
    }
    tooltip = [
        {"field": "name", "type": "nominal", "title": "what"},
        {"field": "value", "type": "quantitative", "title": "images/s", "format": ",.0f"},
        {"field": "time", "type": "temporal", "title": "time", "format": "%Y-%m-%d %H:%M"},
        {"field": "note", "type": "nominal", "title": "commit"},
    ]
    interval = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"y": {**y, "field": "value"}}},
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.5},
            "encoding": interval,
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "strokeWidth": 0},
            "encoding": {"y": {**y, "field": "value"}, "shape": shape, "tooltip": tooltip},
        },
    ]
    for layer in layers:
        layer["encoding"] = {"x": x, "color": color, **layer["encoding"]}
    zoom = {"name": "zoom", "select": {"type": "interval", "encodings": ["x"]}, "bind": "scales"}
    layers[0]["params"] = [zoom]
    return frame(layers, data, _HEIGHT)
