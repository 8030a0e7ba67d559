"""The ceilings as a picture."""

from __future__ import annotations

from pathlib import Path

from feedbench.bench.diagnose.table import label
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.report.figures import saved_figure

_COLORS = {
    "storage": "#4c78a8",
    "decode": "#f58518",
    "transform": "#eeca3b",
    "assemble": "#b279a2",
    "loader": "#54a24b",
    "fixed": "#88d27a",
    "transfer": "#9d755d",
    "consumer": "#72b7b2",
    "end to end": "#e45756",
}
_ROW_INCHES = 0.34


def draw_waterfall(found: Diagnosis, path: Path, title: str) -> None:
    """One bar a part, images a second on a logarithmic scale, with its interval; a PNG.

    The line marks the rate end to end: no bar lies left of it but by noise.

    Raises:
        RecordError: the file cannot be written.
    """
    bars = [(one, one.images_per_second) for one in found.ceilings if one.images_per_second]
    with saved_figure(path, 9, 1.5 + _ROW_INCHES * len(bars)) as figure:
        axes = figure.add_subplot()
        for place, (one, rate) in enumerate(bars):
            around = [[rate.value - rate.low], [rate.high - rate.value]]
            axes.barh(place, rate.value, xerr=around, color=_COLORS[one.name], ecolor="#555555")
            axes.text(rate.high * 1.06, place, f"{rate.value:,.0f}", va="center", fontsize=8)
            if one.name == "end to end":
                axes.axvline(rate.value, color=_COLORS[one.name], linewidth=1, linestyle=":")
        axes.set_yticks(range(len(bars)), [label(one) for one, _ in bars], fontsize=8)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.set_xlabel("images a second, each part alone")
        axes.set_title(title, fontsize=9, loc="left")
