"""A study as a table for each field of its grid."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from feedbench.bench.study.report import Effect, Report, Value


def tables(report: Report) -> Iterator[Table]:
    """One table per field, one row per value."""
    return map(_table, report.effects)


def _table(effect: Effect) -> Table:
    made = Table(effect.field, "runs", "test accuracy [95 %]", "each run", "against the first")
    for value in effect.values:
        each = ", ".join(f"{accuracy:.1%}" for accuracy in value.accuracies)
        difference = "" if value.difference is None else f"{value.difference.value:+.1%}"
        cells = (value.value, f"{len(value.accuracies)}", _mean(value), each, difference)
        made.add_row(*map(Text, cells))  # no markup: a value may hold brackets
    return made


def _mean(value: Value) -> str:
    if value.mean is None:
        return "–"
    if len(value.accuracies) == 1:  # says nothing of how runs spread: its interval is [0, 1]
        return f"{value.mean.value:.1%}"
    return f"{value.mean:.1%}"
