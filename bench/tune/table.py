"""What `tune` prints: the results as lines and as a table, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedbench.bench.analysis.best import RunnerUp
from feedbench.bench.analysis.contention import busy_sentence
from feedbench.bench.analysis.estimate import rate_text
from feedbench.bench.plan.plan import Choice
from feedbench.bench.report.document import (
    ALWAYS,
    Column,
    Line,
    Part,
    TableData,
    estimates,
    only_csv,
    words,
)
from feedbench.bench.report.table import ratio_text
from feedbench.bench.tune.budget import with_longer_budget
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import TuneRecord, runners_up
from feedbench.bench.tune.search import UNCONFIRMED
from feedbench.bench.tune.space import TOGETHER, grid_size

_CAPTION = "faster and slower are corrected for the number of comparisons, intervals are not."
_RESUME = " To resume the search: "
_NAMED = 3  # ties that the verdict names; the table has all


def finding_line(finding: Finding) -> str:
    """Return one result as a line; why a configuration failed, only the table says."""
    ratio = ratio_text(finding.ratio)
    reason = f": {finding.reason}" if finding.reason and finding.outcome != "failed" else ""
    return (
        f"{finding.outcome}: {finding.choice} against {finding.against}: rate ratio {ratio}, "
        f"paired blocks: {finding.pairs}{reason}"
    )


def parts(record: TuneRecord, *, names_resume: bool = True) -> Iterator[Part]:
    """Yield what is printed: what each setting is worth, whether others were busy, the verdict.

    Args:
        names_resume: whether the command that resumes an unfinished search is among it.
    """
    if record.findings:
        yield worth_table(record)
    yield from _other_failures(record)
    for text in dict.fromkeys(failure.traceback for failure in record.failures):
        if text:
            yield Line(text, form="code")
    if record.busy:
        yield Line(busy_sentence(record.busy), "yellow")
    sentences, command, resume = verdict(record).partition(_RESUME)
    yield Line(sentences, "bold")
    if command and names_resume:
        yield Line(f"{command.strip()} {resume}", "bold", "whole")


def _other_failures(record: TuneRecord) -> Iterator[Line]:
    """Yield why blocks failed, where the table does not say it: another one may have been timed."""
    told = {str(finding.choice) for finding in record.findings if finding.outcome == "failed"}
    others = [failure for failure in record.failures if str(failure.choice) not in told]
    for name, reason in dict.fromkeys((str(one.choice), one.reason) for one in others):
        yield Line(f"{name} failed in a block: {reason}")


def worth_table(record: TuneRecord) -> TableData[Finding]:
    """Return one row per result: the gain of each value of each setting."""
    return TableData(
        name="findings",
        columns=[
            words("setting", "setting", lambda row: row.setting or "loader", text=_setting),
            words("value", "value", value_text),
            only_csv("choice", lambda row: str(row.choice)),
            words(
                "compared with",
                "compared_with",
                lambda row: str(row.against),
                importance=ALWAYS if _is_ambiguous(record.findings) else 1,
            ),
            estimates(
                "rate ratio", "rate_ratio", lambda row: row.ratio, lambda row: ratio_text(row.ratio)
            ),
            Column("pairs", "pairs", lambda row: row.pairs, importance=0),
            words("result", "result", lambda row: row.outcome, text=_outcome),
            only_csv("reason", lambda row: row.reason),
        ],
        rows=record.findings,
        legend=_CAPTION if record.resume else "",  # older versions did not
    )


def _setting(finding: Finding) -> str:
    """Return what differs; a setting comes with its loader."""
    return f"{finding.choice.loader}: {finding.setting}" if finding.setting else "loader"


def _is_ambiguous(findings: Sequence[Finding]) -> bool:
    """Whether two rows differ only in what they are compared with."""
    rows = {(_setting(finding), value_text(finding)) for finding in findings}
    return len(rows) < len(findings)


def _outcome(finding: Finding) -> str:
    return f"{finding.outcome}: {finding.reason}" if finding.reason else finding.outcome


def verdict(record: TuneRecord) -> str:
    """Return which configuration to take, and how much of the space was searched."""
    if record.best is None:
        again = record.resume
        if again and not record.interrupted:
            again = with_longer_budget(again)
        return _why_no_best(record) + _unfinished(record, again)
    if not record.compared:
        return _uncompared(record) + _unfinished(record, with_longer_budget(record.resume))
    pairs = ((finding.choice, finding.against) for finding in record.findings)
    tried = len({str(one) for pair in pairs for one in pair} | {str(record.best)})
    combinations = record.combinations or grid_size(record.loaders)
    rivals = _unconfirmed_text(record) + _ties_text(record)
    return (
        f"Take {record.best}: {_rate_text(record)}.{rivals} {tried} of {combinations:,} "
        f"combinations were tried in {record.seconds / 60:.1f} min."
        f"{_unfinished(record, record.resume)}"
    )


def _unfinished(record: TuneRecord, resume: str) -> str:
    """Return that the search can be resumed by this command; empty if it is finished."""
    if record.finished:
        return ""
    how = f"{_RESUME}{resume}" if resume else ""
    if record.interrupted:
        return (" The search was interrupted." if record.best else "") + how
    return " The search is not finished." + how


def _why_no_best(record: TuneRecord) -> str:
    if record.findings:
        return "No configuration can be recommended; the reasons are above."
    if not record.timed and record.interrupted:
        return "The search was interrupted before a block was timed."
    if not record.timed:
        return "No block was timed within the budget; give a longer --budget."
    reason = "The budget was too short to compare configurations; give a longer --budget."
    if record.interrupted:
        reason = "The search was interrupted before configurations could be compared."
    return f"{reason} None is recommended. Known so far: {_timed(record)}."


def _uncompared(record: TuneRecord) -> str:
    """Return what looks fastest after a budget that was too short to compare anything."""
    return (
        f"{record.best} looks fastest, but the budget was too short to compare: {_timed(record)}."
    )


def _timed(record: TuneRecord) -> str:
    """Return the rates of all configurations, as they are known."""
    return "; ".join(
        f"{one.choice}: {rate_text(one.images_per_second)} images/s, timed blocks: {one.blocks}"
        for one in record.timed
    )


def _rate_text(record: TuneRecord) -> str:
    if record.images_per_second is None:
        return "the fastest so far; no block was timed after it was chosen, so its rate is unknown"
    return f"{rate_text(record.images_per_second)} images/s"


def _unconfirmed(record: TuneRecord) -> list[Finding]:
    """Return what looked faster than the best, without time to confirm it."""
    return [
        finding
        for finding in record.findings
        if finding.against == record.best and finding.reason == UNCONFIRMED
    ]


def _unconfirmed_text(record: TuneRecord) -> str:
    return "".join(
        f" {finding.choice} looked faster, rate ratio {ratio_text(finding.ratio)}; the budget was "
        "too short to confirm it."
        for finding in _unconfirmed(record)
    )


def _ties_text(record: TuneRecord) -> str:
    """Return the configurations that may be as fast as the best, as a sentence."""
    named = {str(finding.choice) for finding in _unconfirmed(record)}
    runners = [(runner_up, _name(runner_up)) for runner_up in runners_up(record)]
    ties = [name for runner_up, name in runners if runner_up.tie and name not in named]
    if not ties:
        return ""
    more = f" and {len(ties) - _NAMED} more" if len(ties) > _NAMED else ""
    return f" Not certainly slower: {', '.join(ties[:_NAMED])}{more}."


def _name(runner_up: RunnerUp) -> str:
    return str(Choice(loader=runner_up.loader, settings=runner_up.settings))


def value_text(finding: Finding) -> str:
    """Return the value of the setting that differs, or the whole configuration."""
    if finding.setting is None or finding.setting == TOGETHER:
        return str(finding.choice)
    return str(finding.choice.settings.get(finding.setting, "default"))
