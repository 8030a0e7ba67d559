"""The results of a search: one line each, as a table, as a picture, and the verdict."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from feedbench.bench.report.figures import saved_figure
from feedbench.bench.report.table import or_dash
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import TuneRecord, runners_up
from feedbench.bench.tune.space import TOGETHER, grid_size

WORTH = "worth.png"
_COLORS = {"faster": "tab:green", "tie": "tab:gray"}  # all other outcomes: red


def finding_line(finding: Finding) -> str:
    """Return one result as a line."""
    ratio = or_dash(finding.ratio, ".2f")
    reason = f": {finding.reason}" if finding.reason else ""
    return (
        f"{finding.outcome}: {finding.choice} against {finding.against}: rate ratio {ratio}, "
        f"paired blocks: {finding.pairs}{reason}"
    )


def worth_table(record: TuneRecord) -> Table:
    """Return one row per result: the gain of each value of each setting."""
    table = Table("setting", "value", "compared with", "rate ratio [95 %]", "pairs", "result")
    for finding in record.findings:
        table.add_row(
            finding.setting or "loader",
            _value(finding),
            str(finding.against),
            or_dash(finding.ratio, ".2f"),
            str(finding.pairs),
            f"{finding.outcome}{': ' + finding.reason if finding.reason else ''}",
        )
    return table


def verdict(record: TuneRecord) -> str:
    """Return which configuration to take, and how much of the space was searched."""
    best, rate = record.best, record.images_per_second
    if best is None and not record.findings:
        return "The budget ran out before any comparison was finished; give a longer --budget."
    if best is None or rate is None:
        return "No configuration can be recommended; the reasons are above."
    ties = sum(runner_up.tie for runner_up in runners_up(record))
    tied = f" (tied with {ties} other{'s' * (ties > 1)})" if ties else ""
    loaders = dict.fromkeys(finding.choice.loader for finding in record.findings)
    tried = len({str(finding.choice) for finding in record.findings} | {str(best)})
    combinations = grid_size(loaders.keys() | {best.loader})
    unfinished = (
        ""
        if record.finished
        else " The search is not finished; to resume it: feedbench tune --resume."
    )
    return (
        f"Take {best}: {rate:,.0f} images/s{tied}. {tried} of {combinations:,} combinations were "
        f"tried in {record.seconds / 60:.1f} min.{unfinished}"
    )


def draw_worth(record: TuneRecord, path: Path) -> None:
    """Draw each rate ratio with its interval, as a PNG.

    Raises:
        RecordError: the file cannot be written.
    """
    ratios = [(finding, finding.ratio) for finding in reversed(record.findings) if finding.ratio]
    with saved_figure(path, 9, 1.2 + 0.32 * len(ratios)) as figure:
        axes = figure.add_subplot()
        for y, (finding, ratio) in enumerate(ratios):
            color = _COLORS.get(finding.outcome, "tab:red")
            axes.plot(ratio.interval or [ratio.value, ratio.value], [y, y], color=color)
            axes.plot([ratio.value], [y], "o", color=color)
        axes.axvline(1, color="black", linewidth=0.8)
        labels = [f"{finding.setting or 'loader'}: {_value(finding)}" for finding, _ in ratios]
        axes.set_yticks(range(len(ratios)), labels, fontsize=8)
        axes.set(xlabel="rate relative to what it was compared with, 95 % interval", xscale="log")
        axes.grid(axis="x", alpha=0.3)


def _value(finding: Finding) -> str:
    """Return the value of the setting that differs, or the whole configuration."""
    if finding.setting is None or finding.setting == TOGETHER:
        return str(finding.choice)
    return str(finding.choice.settings.get(finding.setting, "default"))
