"""A table as CSV: every figure in a column of its own, unrounded, with its unit in the heading."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.report.document import Column, TableData, Value
from feedbench.bench.report.terminal import harmless

_FORMULA = tuple("=+-@")  # what a spreadsheet computes if a cell begins with it


def as_csv(table: TableData[Any]) -> str:
    """Return a heading and one line per row; a value that is not known is empty.

    Texts have no control characters, and a `'` before what a spreadsheet would take for a formula.
    The columns are always the same for a kind of table. An estimate has three: its value, and the
    ends of its interval.
    """
    columns = [column for column in table.columns if column.name]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_text(name) for column in columns for name in _names(column)])
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
        yield from (_plain(value), None, None)
    else:
        yield _plain(value)


def _plain(value: Value) -> Value:
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """Return a text that neither a terminal nor a spreadsheet obeys."""
    return f"'{harmless(text)}" if text.startswith(_FORMULA) else harmless(text)
