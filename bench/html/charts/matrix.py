"""A confusion matrix: shades are fractions of the true class, numbers are counts."""

from __future__ import annotations

from collections.abc import Sequence

from feedbench.bench.html.charts.colors import ACCENT, ON_ACCENT
from feedbench.bench.html.charts.frame import Spec, frame

MOST_CLASSES = 40
_WITH_COUNTS = 14  # classes up to which the counts are written into the cells
_LIGHT_TEXT = 0.55  # fraction from which white text is easier to read


def matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Spec:
    """Return a chart with one cell per pair of classes.

    Args:
        counts: by true class (rows) and predicted class.
        names: of the classes.
    """
    cells = [
        {"true": row, "predicted": column, "count": count, "share": count / max(1, sum(line))}
        for row, line in zip(names, counts, strict=True)
        for column, count in zip(names, line, strict=True)
    ]
    x = _axis("predicted", names, {"labelAngle": -45})
    y = _axis("true", names, {})
    layers = [_shades(x, y)]
    if len(names) <= _WITH_COUNTS:
        layers += [_counts(x, y, f"datum.share < {_LIGHT_TEXT}", None)]
        layers += [_counts(x, y, f"datum.share >= {_LIGHT_TEXT}", ON_ACCENT)]
    return frame(layers, cells, 80 + max(12, 30 - len(names) // 2) * len(names))


def _axis(field: str, names: Sequence[str], more: Spec) -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "sort": list(names),
        "axis": {"title": field, "labelLimit": 110, "ticks": False, **more},
    }


def _shades(x: Spec, y: Spec) -> Spec:
    return {
        "mark": {"type": "rect", "color": ACCENT},
        "encoding": {
            "x": x,
            "y": y,
            "opacity": {
                "field": "share",
                "type": "quantitative",
                "legend": None,
                "scale": {"domain": [0, 1], "range": [0.05, 1]},
            },
            "tooltip": [
                {"field": "true", "type": "nominal", "title": "true"},
                {"field": "predicted", "type": "nominal", "title": "predicted"},
                {"field": "count", "type": "quantitative", "title": "images"},
                {
                    "field": "share",
                    "type": "quantitative",
                    "title": "of the class",
                    "format": ".1%",
                },
            ],
        },
    }


def _counts(x: Spec, y: Spec, test: str, color: str | None) -> Spec:
    mark = {"type": "text", "fontSize": 11, **({"color": color} if color else {})}
    return {
        "transform": [{"filter": test}],
        "mark": mark,
        "encoding": {"x": x, "y": y, "text": {"field": "count", "type": "quantitative"}},
    }
