"""The ceilings of a diagnosis as a bar chart."""

from __future__ import annotations

from pathlib import Path

from feedbench.bench.diagnose.table import label
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.report.figures import saved_figure

_COLORS = {
    "storage": "#4c78a8",
    "decoding": "#f58518",
    "transform": "#eeca3b",
    "batch copy": "#b279a2",
    "loader": "#54a24b",
    "fixed": "#88d27a",
    "reference": "#bab0ac",
    "transfer": "#9d755d",
    "consumer": "#72b7b2",
    "end to end": "#e45756",
    "rewritten": "#ff9da6",
}
_ROW_INCHES = 0.34


def draw_waterfall(diagnosis: Diagnosis, path: Path, title: str) -> None:
    """Draw one bar per part with its rate and interval, on a logarithmic axis.

    A dotted line marks the end-to-end rate: apart from noise, no bar is shorter.

    Raises:
        RecordError: the file cannot be written.
    """
    bars = [
        (ceiling, ceiling.images_per_second)
        for ceiling in diagnosis.ceilings
        if ceiling.images_per_second
    ]
    with saved_figure(path, 9, 1.5 + _ROW_INCHES * len(bars)) as figure:
        axes = figure.add_subplot()
        for y, (ceiling, rate) in enumerate(bars):
            color = _COLORS[ceiling.name]
            low, high = rate.interval or (rate.value, rate.value)
            error = [[rate.value - low], [high - rate.value]]
            axes.barh(y, rate.value, xerr=error, color=color, ecolor="#555555")
            axes.text(high * 1.06, y, f"{rate.value:,.0f}", va="center", fontsize=8)
            if ceiling.name == "end to end":
                axes.axvline(rate.value, color=color, linewidth=1, linestyle=":")
        axes.set_yticks(range(len(bars)), [label(ceiling) for ceiling, _ in bars], fontsize=8)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.set_xlabel("images per second, each part alone")
        axes.set_title(title, fontsize=9, loc="left")
