"""What a search found, for people: line by line, as a table, and as a picture."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from feedbench.bench.report.figures import saved_figure
from feedbench.bench.report.table import or_dash
from feedbench.bench.tune.search import TOGETHER, Finding, grid_size
from feedbench.bench.tune.tune import Found, runners_up

WORTH = "worth.png"


def line(finding: Finding) -> str:
    """One finding in a line."""
    ratio = or_dash(finding.ratio, ".2f")
    why = f": {finding.reason}" if finding.reason else ""
    return (
        f"{finding.outcome}: {finding.choice} against {finding.against}: {ratio} of its rate, "
        f"{finding.pairs} pairs{why}"
    )


def worth(found: Found) -> Table:
    """What each setting was worth."""
    table = Table("setting", "value", "against", "ratio [95 %]", "pairs", "outcome")
    for one in found.findings:
        ratio = or_dash(one.ratio, ".2f")
        outcome = f"{one.outcome}{': ' + one.reason if one.reason else ''}"
        table.add_row(
            one.setting or "loader", _value(one), str(one.against), ratio, str(one.pairs), outcome
        )
    return table


def verdict(found: Found) -> str:
    """What to take."""
    if found.best is None and not found.findings:
        return "The budget was spent before anything could be told apart; give a longer --budget."
    if found.best is None or found.images_per_second is None:
        return "Nothing could be measured that may win; the reasons are above."
    rate = found.images_per_second
    ties = [one for one in runners_up(found) if one.tie]
    tied = f"; {len(ties)} tie with it" if ties else ""
    part = "" if found.finished else "; the search is not at its end: feedbench tune --resume"
    loaders = dict.fromkeys(one.choice.loader for one in found.findings)
    tried = len({str(one.choice) for one in found.findings} | {str(found.best)})
    combinations = grid_size(loaders.keys() | {found.best.loader})
    return (
        f"Take {found.best}: {rate:,.0f} images/s{tied}. {tried} of {combinations:,} combinations "
        f"were tried in {found.seconds / 60:.1f} min{part}."
    )


def draw_worth(found: Found, path: Path) -> None:
    """Each ratio with its interval, as a PNG.

    Raises:
        RecordError: the file cannot be written.
    """
    shown = [(one, one.ratio) for one in reversed(found.findings) if one.ratio]
    with saved_figure(path, 9, 1.2 + 0.32 * len(shown)) as figure:
        axes = figure.add_subplot()
        for place, (one, ratio) in enumerate(shown):
            colour = {"faster": "tab:green", "tie": "tab:gray"}.get(one.outcome, "tab:red")
            axes.plot([ratio.low, ratio.high], [place, place], color=colour)
            axes.plot([ratio.value], [place], "o", color=colour)
        axes.axvline(1, color="black", linewidth=0.8)
        names = [f"{one.setting or 'loader'}: {_value(one)}" for one, _ in shown]
        axes.set_yticks(range(len(shown)), names, fontsize=8)
        axes.set(xlabel="rate over that of what it raced against, 95 % interval", xscale="log")
        axes.grid(axis="x", alpha=0.3)


def _value(one: Finding) -> str:
    if one.setting is None or one.setting == TOGETHER:
        return str(one.choice)
    return str(one.choice.settings.get(one.setting, "default"))
