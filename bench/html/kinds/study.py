"""The report of a study: effects on the accuracy, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import dots_table, listed, number
from feedbench.bench.html.kinds.environment import facts_section
from feedbench.bench.html.kinds.train import training_facts
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Figure,
    Headline,
    Part,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.results.kinds import StudyResult
from feedbench.bench.study.report import FieldResult, StudyReport, ValueResult
from feedbench.bench.study.run import RUNS, STUDY
from feedbench.bench.training.folder import TRAINING


def report_of_study(result: StudyResult) -> Report:
    """Return the report of a study, one section per field of its grid."""
    report, folder = result.report, result.path.parent
    sections = [
        Section(effect.field, list(_effect(effect, report)), f"effect-{number_}")
        for number_, effect in enumerate(report.effects, 1)
    ]
    sections += [*_failed(report), facts_section(_facts(folder)), *_repeat(folder)]
    sentence = "; ".join(report.text) or "No two values of a field can be compared yet"
    return Report("Study of trainings", Headline(f"{sentence}."), sections)


def _effect(effect: FieldResult, report: StudyReport) -> Iterator[Part]:
    if rows := [_difference_dot(one) for one in effect.values if one.difference is not None]:
        yield Chart(
            _title(effect),
            f"Difference in test accuracy from {effect.field} {effect.values[0].value}. "
            f"{listed(rows)}",
            dots(
                rows,
                "difference in test accuracy",
                [Line(0.0, "no difference")],
                zero=False,
                form="+.1%",
            ),
            table=dots_table("Differences", "difference", rows),
        )
    runs = [
        Dot(f"{effect.field} {one.value}, run {index}", accuracy, f"{accuracy:.1%}")
        for one in effect.values
        for index, accuracy in enumerate(one.accuracies, 1)
    ]
    if runs:
        spread = max(row.value for row in runs) - min(row.value for row in runs)
        yield Chart(
            f"The runs differ by {100 * spread:.1f} points of accuracy",
            f"Test accuracy of each run. {listed(runs)}",
            dots(runs, "test accuracy", zero=False, form=".0%"),
            table=dots_table("Runs", "test accuracy", runs),
        )
    yield _values_table(effect)
    yield Text(
        f"{report.images:,} test images. Differences are between runs with the same seed, with "
        f"{report.confidence:.1%} intervals, which hold for all comparisons together.",
        "note",
    )


def _title(effect: FieldResult) -> str:
    real = [one for one in effect.values if one.difference is not None and one.difference.real]
    if not real:
        return f"No value of {effect.field} is shown to make a difference"
    largest = max(real, key=lambda one: abs(one.difference.value) if one.difference else 0.0)
    assert largest.difference is not None
    return f"{effect.field} {largest.value} changes the accuracy by {largest.difference.value:+.1%}"


def _difference_dot(one: ValueResult) -> Dot:
    found = one.difference
    assert found is not None
    text = f"{found.value:+.1%}" if found.estimate is None else f"{found.estimate:+.1%}"
    role: Role = "marked" if found.real else "plain"
    return Dot(one.value, found.value, text, found.low, found.high, role)


def _values_table(effect: FieldResult) -> Table:
    columns = [
        Column(effect.field),
        Column("runs", numeric=True),
        Column("mean test accuracy [95 %]", "interval over the runs", numeric=True),
        Column("accuracy of each run"),
        Column("difference from the first", numeric=True),
        Column("pairs", numeric=True),
        Column("p-value", "not adjusted for the number of comparisons", numeric=True),
    ]
    return Table("Values", columns, [_cells(one) for one in effect.values])


def _cells(one: ValueResult) -> list[Cell]:
    found, mean = one.difference, one.mean
    alone = len(one.accuracies) == 1  # a single run has no spread; its interval is [0, 1]
    return [
        one.value,
        len(one.accuracies),
        None
        if mean is None
        else Figure(mean.value, None if alone else mean.low, None if alone else mean.high, ".1%"),
        ", ".join(f"{accuracy:.1%}" for accuracy in one.accuracies),
        None if found is None else Figure(found.value, found.low, found.high, "+.1%"),
        None if found is None else found.pairs,
        None if found is None else number(found.p_value, ".3g"),
    ]


def _failed(report: StudyReport) -> Iterator[Section]:
    if report.failed:
        columns = [Column("run"), Column("reason")]
        rows: list[list[Cell]] = [[name, reason] for name, reason in report.failed.items()]
        yield Section("Failed runs", [Table("Failed runs", columns, rows)], "failed")
    if report.missing:
        text = Text(f"Not finished: {report.missing} runs.", "warning")
        yield Section("Missing runs", [text], "missing")


def _facts(folder: Path) -> dict[str, object]:
    """Return the environment of one of the runs."""
    runs = sorted((folder / RUNS).glob(f"*/{TRAINING}"))
    return training_facts(runs[0]) if runs else {}


def _repeat(folder: Path) -> Iterator[Section]:
    file = folder / STUDY
    if file.is_file():
        parts = [
            Code(f"feedbench study {STUDY}", "Train again"),
            Code(file.read_text("utf-8", "replace"), STUDY),
        ]
        yield Section("Repeat", parts, "repeat")
