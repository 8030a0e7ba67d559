"""What `study` prints: a table for each field of its grid, failures, and real differences."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.quantities import quantity
from feedbench.bench.report.document import (
    Column,
    Line,
    Part,
    TableData,
    estimates,
    only_csv,
    words,
)
from feedbench.bench.study.report import FieldResult, StudyReport, ValueResult


def parts(report: StudyReport, told: Collection[str] = ()) -> Iterator[Part]:
    """Yield what is printed.

    Args:
        told: names of failed runs whose reasons have just been printed.
    """
    yield from map(table, report.effects)
    for name, reason in report.failed.items():
        if name not in told:
            yield Line(f"{name} failed: {reason}", "red", "whole")
    if told:
        runs = quantity(len(told), "training")
        yield Line(f"{runs} failed, as said above: {', '.join(told)}", "red", "whole")
    for line in report.text:
        yield Line(line, "bold")
    yield Line(
        f"{report.images:,} test images. Differences are between runs with the same seed, with "
        f"{report.confidence:.1%} intervals."
    )


def table(effect: FieldResult) -> TableData[ValueResult]:
    """Return one row per value of a field."""
    return TableData(
        name=effect.field,
        columns=[
            words(effect.field, "value", lambda row: row.value),
            Column("runs", "runs", lambda row: len(row.accuracies)),
            estimates("mean test\naccuracy", "mean_test_accuracy", _mean, "{:.1%}"),
            words("test accuracy of each run", "test_accuracies", _accuracies, importance=0),
            Column(
                "difference\nfrom the first", "difference", _difference, _signed, has_interval=True
            ),
            only_csv("difference_p_value", _p_value),
        ],
        rows=effect.values,
    )


def _accuracies(value: ValueResult) -> str:
    return ", ".join(f"{accuracy:.1%}" for accuracy in value.accuracies)


def _mean(value: ValueResult) -> Estimate | None:
    """Return the mean; a single run has no spread, and in the record an interval of [0, 1]."""
    if value.mean is not None and len(value.accuracies) == 1:
        return Estimate(value=value.mean.value)
    return value.mean


def _difference(value: ValueResult) -> Estimate | None:
    found = value.difference
    return None if found is None else Estimate(value=found.value, low=found.low, high=found.high)


def _p_value(value: ValueResult) -> float | None:
    return None if value.difference is None else value.difference.p_value


def _signed(value: ValueResult) -> str:
    difference = _difference(value)
    return "" if difference is None else f"{difference:+.1%}"
