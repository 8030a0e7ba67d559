"""A waterfall: from one quantity down to another, one step per cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feedbench.bench.html.charts.frame import Role, Spec, role_color, row_tooltip
from feedbench.bench.html.charts.rows import Rows

_BAR = 16  # pixels

Bar = tuple[str, float, float, str, Role]  # name, low, high, text, role


@dataclass(frozen=True)
class Step:
    """What one cause takes away.

    Attributes:
        amount: in the unit of the axis; negative if it adds.
        text: the amount as it is printed.
    """

    name: str
    amount: float
    text: str
    role: Role = "plain"


@dataclass(frozen=True)
class End:
    """The first or the last bar, which starts at 0."""

    name: str
    value: float
    text: str
    role: Role = "plain"


def waterfall(first: End, steps: Sequence[Step], last: End, title: str) -> Spec:
    """Return a chart with the first quantity, a floating bar per step, and what is left.

    Args:
        title: of the axis, with the unit.
    """
    rows: list[Bar] = [(first.name, 0.0, first.value, first.text, first.role)]
    level = first.value
    for step in steps:
        low, high = sorted((level, level - step.amount))
        rows.append((step.name, low, high, step.text, step.role))
        level -= step.amount
    return bars_from([*rows, (last.name, 0.0, last.value, last.text, last.role)], title)


def bars_from(rows: Sequence[Bar], title: str) -> Spec:
    """Return a chart with a bar per row, from a low to a high value, on an axis from 0."""
    texts = [bar[3] for bar in rows]
    briefs = [text.partition(", ")[0] for text in texts]
    data = [
        {
            "row": row,
            **dict(zip(("name", "low", "high", "text", "role"), bar, strict=True)),
            "short": brief,
        }
        for row, (bar, brief) in enumerate(zip(rows, briefs, strict=True))
    ]
    layout = Rows([bar[0] for bar in rows], texts, briefs)
    low, high = min(0.0, *(bar[1] for bar in rows)), max(bar[2] for bar in rows) or 1.0
    return layout.frame([_bars(layout, layout.x(title, low, high)), *layout.labels()], data)


def _bars(layout: Rows, x: Spec) -> Spec:
    return {
        "mark": layout.mark("bar", height=_BAR, cornerRadius=2, minBandSize=2),
        "encoding": {
            "x": {**x, "field": "low"},
            "x2": {"field": "high"},
            "y": layout.y(),
            "color": role_color(),
            "tooltip": row_tooltip(),
        },
    }
