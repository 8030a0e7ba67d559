"""Counts as horizontal bars from 0."""

from __future__ import annotations

from collections.abc import Sequence

from feedbench.bench.html.charts.dots import Dot
from feedbench.bench.html.charts.frame import Spec
from feedbench.bench.html.charts.waterfall import bars_from


def bars(rows: Sequence[Dot], title: str) -> Spec:
    """Return a chart with one bar per row.

    Args:
        title: of the axis.
    """
    return bars_from([(row.name, 0.0, row.value, row.text, row.role) for row in rows], title)
