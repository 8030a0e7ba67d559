"""The report of a search for settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from feedbench.bench.analysis.contention import busy_sentence
from feedbench.bench.errors import RecordError
from feedbench.bench.html.charts.dots import Dot, Line
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import Field, dots_chart, ratio_figure, table_of
from feedbench.bench.html.kinds.commands import (
    model_options,
    repeat_section,
    spec_options,
    train_command,
)
from feedbench.bench.html.kinds.environment import environment_section
from feedbench.bench.html.kinds.over_time import DECIMATED, over_time, shown_of
from feedbench.bench.html.kinds.pixels import pixels_beside
from feedbench.bench.html.kinds.samples import samples_section
from feedbench.bench.html.parts import Chart, Code, Headline, Part, Report, Section, Text
from feedbench.bench.quantities import quantity
from feedbench.bench.record import Trial
from feedbench.bench.report.table import ratio_text
from feedbench.bench.results.kinds import TuneResult
from feedbench.bench.trials_file import read_trials
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import FailedBlock, TuneRecord, choice_of
from feedbench.bench.tune.table import value_text, verdict

_ROLES: dict[str, Role] = {"faster": "marked", "slower": "plain"}
_HOW = (
    "Each row is one configuration against the best at that time, in blocks of the same rounds. "
    "Faster and slower are corrected for the number of comparisons, the intervals are not."
)


def report_of_tune(result: TuneResult) -> Report:
    """Return the report of a search: the best, and what each setting is worth."""
    record, folder = result.record, result.path.parent
    trials = _trials(folder, result.path)
    sections = [
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
    return Report(title, Headline(verdict(record), use), sections)


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
    if record.busy:
        parts.append(Text(busy_sentence(record.busy), "warning"))
    if chart := worth_chart(record.findings):
        parts.append(chart)
    title = "Comparisons in their order"
    table = table_of(title, _FIELDS, record.findings, lambda one: one.choice == record.best)
    yield Section("What each setting is worth", [*parts, table], "worth")


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
            f"{one.outcome} {ratio_text(ratio)}",
            ratio.low,
            ratio.high,
            _ROLES.get(one.outcome, "faint"),
        )
        for one, ratio in compared
    ]
    return dots_chart(
        _worth_title(findings),
        "Rate divided by the rate of what it was compared with, with 95 % intervals.",
        rows,
        "rate ÷ rate of the best at that time",
        [Line(1.0, "as fast")],
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


_FIELDS: list[Field[Finding]] = [
    Field("configuration", lambda one: str(one.choice)),
    Field(
        "rate ratio [95 %]",
        lambda one: ratio_figure(one.ratio),
        "over blocks of the same rounds",
    ),
    Field("result", lambda one: one.outcome),
    Field("setting", lambda one: one.setting or "loader"),
    Field("compared with", lambda one: str(one.against)),
    Field("pairs", lambda one: one.pairs, "rounds in which both were timed"),
    Field("reason", lambda one: one.reason),
]


def _timed(record: TuneRecord) -> Iterator[Section]:
    if not record.timed:
        return
    rows = sorted(record.timed, key=lambda one: -one.images_per_second)
    chart = dots_chart(
        f"Timed: {quantity(len(rows), 'configuration')}, from {rows[-1].images_per_second:,.0f} to "
        f"{rows[0].images_per_second:,.0f} images/s",
        "Median images per second of each configuration.",
        [
            Dot(
                str(one.choice),
                one.images_per_second,
                f"{one.images_per_second:,.0f}",
                role="marked" if one.choice == record.best else "plain",
            )
            for one in rows
        ],
        "images per second",
        figures=("Timed", "images/s"),
        zero=True,
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
    if record.failures:
        texts = dict.fromkeys(one.traceback for one in record.failures if one.traceback)
        codes = [Code(text, "Traceback of your own code") for text in texts]
        table = table_of("Blocks that failed", _FAILURE_FIELDS, record.failures)
        yield Section("Failures", [table, *codes], "failures")


_FAILURE_FIELDS: list[Field[FailedBlock]] = [
    Field("configuration", lambda one: str(one.choice)),
    Field("round", lambda one: one.round + 1),
    Field("reason", lambda one: one.reason),
]


def _again(record: TuneRecord) -> list[Part]:
    about = record.about
    words = ["feedbench", "tune", "DATA", *_loader_options(about)]
    words += ["--consumer", str(about.get("consumer", "train"))]
    words += [*spec_options(about.get("spec", {})), *model_options(about.get("recipe", {}))]
    again = Code(shlex.join(words), "Search again")
    resume = Code(record.resume, "Resume this search")
    return [again, resume] if record.resume and not record.finished else [again]


def _loader_options(about: dict[str, Any]) -> list[str]:
    """Return the loaders of a search in which the user named a function, which is no default."""
    if "own functions" not in about:
        return []
    names = dict.fromkeys(str(choice).partition(" ")[0] for choice in about.get("loaders", []))
    return [word for name in names for word in ("--loader", name)]
