"""The results of a search: one line each, as a table, and the verdict."""

from __future__ import annotations

from rich.table import Table

from feedbench.bench.plan.plan import Choice
from feedbench.bench.report.layout import new_table
from feedbench.bench.report.table import or_dash
from feedbench.bench.tune.budget import with_longer_budget
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import TuneRecord, runners_up
from feedbench.bench.tune.space import TOGETHER, grid_size

_CAPTION = "faster and slower allow for the number of comparisons, intervals do not"
_NAMED = 3  # ties that the verdict names; the table has all


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
    table = new_table(
        *("setting", "value", "compared with", "rate ratio [95 %]", "pairs", "result"),
        caption=_CAPTION if record.resume else None,  # older versions did not
    )
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
    if record.best is None:
        again = with_longer_budget(record.resume) if record.resume else ""
        return _why_no_best(record) + _unfinished(record, again)
    loaders = dict.fromkeys(finding.choice.loader for finding in record.findings)
    pairs = ((finding.choice, finding.against) for finding in record.findings)
    tried = len({str(one) for pair in pairs for one in pair} | {str(record.best)})
    combinations = grid_size(loaders.keys() | {record.best.loader})
    return (
        f"Take {record.best}: {_rate_text(record)}.{_ties_text(record)} {tried} of "
        f"{combinations:,} combinations were tried in {record.seconds / 60:.1f} min."
        f"{_unfinished(record, record.resume)}"
    )


def _unfinished(record: TuneRecord, resume: str) -> str:
    """Return that the search can be resumed by this command; empty if it is finished."""
    if record.finished:
        return ""
    return " The search is not finished." + (f" To resume the search: {resume}" if resume else "")


def _why_no_best(record: TuneRecord) -> str:
    if record.findings:
        return "No configuration can be recommended; the reasons are above."
    if not record.timed:
        return "No block was timed within the budget; give a longer --budget."
    timed = "; ".join(
        f"{one.choice}: {one.images_per_second:,.0f} images/s, timed blocks: {one.blocks}"
        for one in record.timed
    )
    return (
        "The budget was too short to compare configurations, so none is recommended; give a longer "
        f"--budget. Known so far: {timed}."
    )


def _rate_text(record: TuneRecord) -> str:
    if record.images_per_second is None:
        return "the fastest so far; no block was timed after it was chosen, so its rate is unknown"
    return f"{record.images_per_second:,.0f} images/s"


def _ties_text(record: TuneRecord) -> str:
    """Return the configurations that may be as fast as the best, as a sentence."""
    ties = [
        str(Choice(loader=runner_up.loader, settings=runner_up.settings))
        for runner_up in runners_up(record)
        if runner_up.tie
    ]
    if not ties:
        return ""
    more = f" and {len(ties) - _NAMED} more" if len(ties) > _NAMED else ""
    return f" Not surely slower: {', '.join(ties[:_NAMED])}{more}."


def _value(finding: Finding) -> str:
    """Return the value of the setting that differs, or the whole configuration."""
    if finding.setting is None or finding.setting == TOGETHER:
        return str(finding.choice)
    return str(finding.choice.settings.get(finding.setting, "default"))
