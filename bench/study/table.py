"""The tables of a study, one for each field of its grid."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from feedbench.bench.report.layout import new_table
from feedbench.bench.study.report import FieldResult, StudyReport, ValueResult


def tables(report: StudyReport) -> Iterator[Table]:
    """Yield one table per field, with one row per value."""
    return map(_table, report.effects)


def _table(effect: FieldResult) -> Table:
    table = new_table(
        effect.field,
        "runs",
        "mean test accuracy [95 %]",
        "test accuracy of each run",
        "difference from the first",
    )
    for value in effect.values:
        accuracies = ", ".join(f"{accuracy:.1%}" for accuracy in value.accuracies)
        difference = "" if value.difference is None else f"{value.difference.value:+.1%}"
        cells = (value.value, f"{len(value.accuracies)}", _mean(value), accuracies, difference)
        table.add_row(*map(Text, cells))  # as text: a value may contain brackets
    return table


def _mean(value: ValueResult) -> str:
    if value.mean is None:
        return "–"
    if len(value.accuracies) == 1:  # a single run has no spread; its interval is [0, 1]
        return f"{value.mean.value:.1%}"
    return f"{value.mean:.1%}"
