"""What a search found, for people: line by line, as a table, and as a picture."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from feedbench.bench.tune.search import TOGETHER, Finding, grid_size
from feedbench.bench.tune.tune import Found, Told, runners_up

WORTH = "worth.png"


def line(finding: Finding) -> str:
    """One finding in a line."""
    ratio = finding.ratio
    told = f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "–"
    why = f": {finding.reason}" if finding.reason else ""
    return (
        f"{finding.outcome}: {finding.choice} against {finding.against}: {told} of its rate, "
        f"{finding.pairs} pairs{why}"
    )


def worth(found: Found) -> Table:
    """What each setting was worth."""
    table = Table("setting", "value", "against", "ratio [95 %]", "pairs", "outcome")
    for one in found.findings:
        ratio = "–" if one.ratio is None else "{:.2f} [{:.2f}, {:.2f}]".format(*one.ratio)
        told = f"{one.outcome}{': ' + one.reason if one.reason else ''}"
        table.add_row(
            one.setting or "loader", _value(one), str(one.against), ratio, str(one.pairs), told
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
    told = f"; {len(ties)} tie with it" if ties else ""
    part = "" if found.finished else "; the search is not at its end: feedbench tune --resume"
    loaders = dict.fromkeys(one.choice.loader for one in found.findings)
    tried = len({str(one.choice) for one in found.findings} | {str(found.best)})
    return (
        f"Take {found.best}: {rate.median:,.0f} images/s [{rate.low:,.0f}, {rate.high:,.0f}]"
        f"{told}. {tried} of {grid_size(loaders.keys() | {found.best.loader}):,} combinations "
        f"were tried in {found.seconds / 60:.1f} min{part}."
    )


def draw_worth(found: Found, path: Path) -> None:
    """Each ratio with its interval, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [one for one in found.findings if one.ratio]
    figure = Figure((9, 1.2 + 0.32 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, one in enumerate(reversed(shown)):
        assert one.ratio is not None
        median, low, high = one.ratio
        colour = {"faster": "tab:green", "tie": "tab:gray"}.get(one.outcome, "tab:red")
        axes.plot([low, high], [place, place], color=colour)
        axes.plot([median], [place], "o", color=colour)
    axes.axvline(1, color="black", linewidth=0.8)
    names = [f"{one.setting or 'loader'}: {_value(one)}" for one in reversed(shown)]
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set(xlabel="rate over that of what it raced against, 95 % interval", xscale="log")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)


def _value(one: Told) -> str:
    if one.setting is None or one.setting == TOGETHER:
        return str(one.choice)
    return str(one.choice.settings.get(one.setting, "default"))
