"""The report of a search for settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from feedbench.bench.errors import RecordError
from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import (
    dots_table,
    figure,
    first_sentence,
    listed,
    without_empty_columns,
)
from feedbench.bench.html.kinds.commands import repeat_section, spec_options, train_command
from feedbench.bench.html.kinds.environment import environment_section
from feedbench.bench.html.kinds.over_time import DECIMATED, over_time, shown_of
from feedbench.bench.html.kinds.pixels import pixels_beside
from feedbench.bench.html.kinds.samples import samples_section
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Headline,
    Part,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.record import Trial, read_trials
from feedbench.bench.results.kinds import TuneResult
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import TuneRecord, choice_of
from feedbench.bench.tune.table import value_text, verdict

_ROLES: dict[str, Role] = {"faster": "marked", "slower": "plain"}
_HOW = (
    "Each row is one configuration against the best at that time, in blocks of the same rounds. "
    "The words faster and slower allow for the number of comparisons, the intervals do not."
)


def report_of_tune(result: TuneResult) -> Report:
    """Return the report of a search: the best, and what each setting is worth."""
    record, folder = result.record, result.path.parent
    trials = _trials(folder, result.path)
    sentence, more = first_sentence(verdict(record))
    sections = [
        *([Section("Verdict", more, "verdict")] if more else []),
        *_worth(record),
        *_timed(record),
        *_over_time(record, trials),
        *(pixels_beside(folder) if trials else ()),
        *_failures(record),
        *samples_section(trials),
        environment_section(folder, record.conditions),
        repeat_section(folder, _again(record)),
    ]
    best = record.best
    use = None if best is None else train_command(folder, best.loader, best.settings)
    title = f"Search for settings, {record.seconds / 60:.1f} min"
    return Report(title, Headline(sentence, use), sections)


def _trials(folder: Path, path: Path) -> list[Trial]:
    """Return the trials of the search; none if the record lies alone."""
    if path.name != "tune.json":
        return []
    try:
        return read_trials(folder)
    except RecordError:
        return []


def _worth(record: TuneRecord) -> Iterator[Section]:
    if not record.findings:
        return
    parts: list[Part] = [Text(_HOW)]
    if chart := worth_chart(record.findings):
        parts.append(chart)
    yield Section("What each setting is worth", [*parts, _findings_table(record)], "worth")


def worth_chart(findings: Sequence[Finding]) -> Chart | None:
    """Return the ratio of each comparison, the largest first; None if nothing was compared."""
    compared = [(one, one.ratio) for one in findings if one.ratio]
    if not compared:
        return None
    compared.sort(key=lambda pair: -pair[1].value)
    rows = [
        Dot(
            _name(one),
            ratio.value,
            f"{one.outcome} {ratio:.2f}",
            ratio.low,
            ratio.high,
            _ROLES.get(one.outcome, "faint"),
        )
        for one, ratio in compared
    ]
    return Chart(
        _worth_title(findings),
        f"Rate divided by the rate of what it was compared with, with 95 % intervals. "
        f"{listed(rows)}",
        dots(rows, "rate ÷ rate of the best at that time", [Line(1.0, "as fast")], zero=False),
        table=dots_table("Ratios", "ratio [95 %]", rows),
    )


def _worth_title(findings: Sequence[Finding]) -> str:
    faster = [one for one in findings if one.outcome == "faster" and one.ratio]
    if not faster:
        return "No other loader or setting was found to be faster"
    most = max(faster, key=lambda one: one.ratio.value if one.ratio else 0.0)
    assert most.ratio is not None
    return f"{_name(most)} gains most: {most.ratio.value:.2f} times the rate"


def _name(one: Finding) -> str:
    """Return what changed in a configuration, or the configuration itself."""
    if one.setting is None or one.setting not in one.choice.settings:
        return str(one.choice)
    return f"{one.choice.loader} {one.setting}={value_text(one)}"


def _findings_table(record: TuneRecord) -> Table:
    columns = [
        Column("setting"),
        Column("configuration"),
        Column("compared with"),
        Column("rate ratio [95 %]", "over blocks of the same rounds", numeric=True),
        Column("pairs", "rounds in which both were timed", numeric=True),
        Column("result"),
        Column("reason"),
    ]
    rows: list[list[Cell]] = [
        [
            one.setting or "loader",
            str(one.choice),
            str(one.against),
            figure(one.ratio, ".2f"),
            one.pairs,
            one.outcome,
            one.reason,
        ]
        for one in record.findings
    ]
    marked = frozenset(
        index for index, one in enumerate(record.findings) if one.choice == record.best
    )
    return without_empty_columns("Comparisons in their order", columns, rows, marked)


def _timed(record: TuneRecord) -> Iterator[Section]:
    if not record.timed:
        return
    rows = sorted(record.timed, key=lambda one: -one.images_per_second)
    dotted = [
        Dot(
            str(one.choice),
            one.images_per_second,
            f"{one.images_per_second:,.0f}",
            role="marked" if one.choice == record.best else "plain",
        )
        for one in rows
    ]
    chart = Chart(
        f"{len(rows)} configurations were timed, from {rows[-1].images_per_second:,.0f} to "
        f"{rows[0].images_per_second:,.0f} images/s",
        f"Median images per second of each configuration. {listed(dotted)}",
        dots(dotted, "images per second", zero=True),
        table=dots_table("Timed", "images/s", dotted),
    )
    note = (
        "Medians of all blocks of each: not of the same rounds, so that only the ratios above say "
        "which is faster."
    )
    yield Section("Rates", [chart, Text(note, "note")], "rates")


def _over_time(record: TuneRecord, trials: Sequence[Trial]) -> Iterator[Section]:
    for trial in trials:
        if choice_of(trial) == record.best and (chart := over_time(trial.blocks, shown_of(trial))):
            yield Section("Over time", [chart, DECIMATED], "time")


def _failures(record: TuneRecord) -> Iterator[Section]:
    if not record.failures:
        return
    columns = [Column("configuration"), Column("round", numeric=True), Column("reason")]
    rows: list[list[Cell]] = [
        [str(one.choice), one.round + 1, one.reason] for one in record.failures
    ]
    texts = dict.fromkeys(one.traceback for one in record.failures if one.traceback)
    codes = [Code(text, "Traceback of your own code") for text in texts]
    yield Section("Failures", [Table("Blocks that failed", columns, rows), *codes], "failures")


def _again(record: TuneRecord) -> list[Part]:
    consumer = str(record.about.get("consumer", "train"))
    words = ["feedbench", "tune", "DATA", "--consumer", consumer]
    command = shlex.join([*words, *spec_options(record.about.get("spec", {}))])
    again = Code(command, "Search again")
    resume = Code(record.resume, "Resume this search")
    return [again, resume] if record.resume and not record.finished else [again]
