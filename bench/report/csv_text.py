"""A table as CSV: every figure in a column of its own, unrounded, with its unit in the heading."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.report.document import Column, TableData, Value


def as_csv(table: TableData[Any]) -> str:
    """Return a heading and one line per row; a value that is not known is empty.

    The columns are always the same for a kind of table. An estimate has three: its value, and the
    ends of its interval.
    """
    columns = [column for column in table.columns if column.name]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for column in columns for name in _names(column)])
    for row in table.rows:
        writer.writerow([cell for column in columns for cell in _cells(column, row)])
    return text.getvalue()


def _names(column: Column[Any]) -> list[str]:
    if not column.has_interval:
        return [column.name]
    return [column.name, f"{column.name}_low", f"{column.name}_high"]


def _cells(column: Column[Any], row: Any) -> Iterator[Value]:
    value = column.value(row)
    if column.has_interval and isinstance(value, Estimate):
        yield from (value.value, value.low, value.high)
    elif column.has_interval:
        yield from (value, None, None)
    else:
        yield str(value).lower() if isinstance(value, bool) else value
