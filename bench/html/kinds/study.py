"""The report of a study: effects on the accuracy, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from feedbench.bench.html.charts.dots import Dot, Line
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import Field, dots_chart, number, table_of
from feedbench.bench.html.kinds.environment import facts_section
from feedbench.bench.html.kinds.train import training_facts
from feedbench.bench.html.parts import Code, Figure, Headline, Part, Report, Section, Text
from feedbench.bench.quantities import quantity
from feedbench.bench.results.kinds import StudyResult
from feedbench.bench.study.report import FieldResult, StudyReport, ValueResult
from feedbench.bench.study.run import RUNS, STUDY
from feedbench.bench.training.folder import TRAINING

_NOTHING_YET = "No two values of a field can be compared yet"


def report_of_study(result: StudyResult) -> Report:
    """Return the report of a study, one section per field of its grid."""
    report, folder = result.report, result.path.parent
    sections = [
        Section(effect.field, list(_effect(effect, report)), f"effect-{number_}")
        for number_, effect in enumerate(report.effects, 1)
    ]
    sections += [*_failed(report), facts_section(_facts(folder)), *_repeat(folder)]
    differences = "; ".join(report.text)
    sentence = f"Test accuracy with {differences}" if differences else _NOTHING_YET
    return Report("Study of trainings", Headline(f"{sentence}."), sections)


def _effect(effect: FieldResult, report: StudyReport) -> Iterator[Part]:
    if rows := [_difference_dot(one) for one in effect.values if one.difference is not None]:
        yield dots_chart(
            _title(effect),
            f"Difference in test accuracy from {effect.field} {effect.values[0].value}.",
            rows,
            "difference in test accuracy",
            [Line(0.0, "no difference")],
            form="+.1%",
        )
    runs = [
        Dot(f"{effect.field} {one.value}, run {index}", accuracy, f"{accuracy:.1%}")
        for one in effect.values
        for index, accuracy in enumerate(one.accuracies, 1)
    ]
    if runs:
        spread = max(row.value for row in runs) - min(row.value for row in runs)
        yield dots_chart(
            f"The runs differ by {100 * spread:.1f} points of accuracy",
            "Test accuracy of each run.",
            runs,
            "test accuracy",
            form=".0%",
        )
    yield table_of("Values", _fields(effect.field), effect.values)
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


def _fields(name: str) -> list[Field[ValueResult]]:
    return [
        Field(name, lambda one: one.value),
        Field("mean test accuracy [95 %]", _mean, "interval over the runs"),
        Field("difference from the first", _difference),
        Field("runs", lambda one: len(one.accuracies)),
        Field(
            "accuracy of each run",
            lambda one: ", ".join(f"{accuracy:.1%}" for accuracy in one.accuracies),
        ),
        Field("pairs", lambda one: one.difference.pairs if one.difference else None),
        Field(
            "p-value",
            lambda one: number(one.difference.p_value if one.difference else None, ".3g"),
            "not adjusted for the number of comparisons",
        ),
    ]


def _mean(one: ValueResult) -> Figure | None:
    """Return the mean; a single run has no spread, and its interval would be [0, 1]."""
    if (mean := one.mean) is None:
        return None
    is_alone = len(one.accuracies) == 1
    low, high = (None, None) if is_alone else (mean.low, mean.high)
    return Figure(mean.value, low, high, ".1%")


def _difference(one: ValueResult) -> Figure | None:
    found = one.difference
    return None if found is None else Figure(found.value, found.low, found.high, "+.1%")


def _failed(report: StudyReport) -> Iterator[Section]:
    if report.failed:
        fields: list[Field[tuple[str, str]]] = [
            Field("run", lambda row: row[0]),
            Field("reason", lambda row: row[1]),
        ]
        table = table_of("Failed runs", fields, report.failed.items())
        yield Section("Failed runs", [table], "failed")
    if report.missing:
        text = Text(f"Not finished: {quantity(report.missing, 'run')}.", "warning")
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
