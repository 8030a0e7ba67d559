"""The report of a result that has no charts: what `show` prints of it, as parts of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from feedbench.bench.analysis.estimate import Estimate, rate_form, rate_text
from feedbench.bench.html.kinds.cells import figure
from feedbench.bench.html.parts import (
    Cell,
    Code,
    Column,
    Figure,
    Headline,
    Part,
    Report,
    Section,
    Style,
    Table,
    Text,
)
from feedbench.bench.report import document
from feedbench.bench.results.kinds import ChecksResult, ProfileResult, Result
from feedbench.bench.results.parts import parts_of

_FORMAT = re.compile(r"\{:([^}]*)\} ?([^{}]*)")
_STYLES: dict[str, Style] = {"bold": "verdict", "yellow": "warning", "red": "error"}


def report_of_plain(result: Result, command: str) -> Report:
    """Return the report of any result.

    Args:
        command: that wrote it.
    """
    printed = list(parts_of(result))
    main = _main_line(printed)
    sentence = main.text if main else _sentence(result, command)
    parts = [part for one in printed if one is not main for part in _converted(one)]
    note: list[Part] = [Text("The record holds nothing that can be shown.", "note")]
    section = Section("Result", parts or note, "result")
    return Report(f"Result of feedbench {command}", Headline(sentence), [section])


def _main_line(printed: Sequence[document.Part]) -> document.Line | None:
    """Return the last line in bold, which is the verdict, or else the first line."""
    lines = [part for part in printed if isinstance(part, document.Line) and part.text.strip()]
    bold = [line for line in lines if line.style == "bold"]
    return bold[-1] if bold else next(iter(lines), None)


def _sentence(result: Result, command: str) -> str:
    """Return the finding of a result that is printed as a table alone."""
    if isinstance(result, ProfileResult):
        one = result.profile
        return (
            f"{one.device}: {rate_text(one.images_per_second)} images/s with {one.network_text()} "
            f"at batch {one.batch_size}, {one.image_size} px."
        )
    if isinstance(result, ChecksResult):
        checks = result.self_test.checks
        failed = [check.name for check in checks if not check.passed]
        if failed:
            return f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}."
        return f"All {len(checks)} checks passed."
    return f"The result of feedbench {command}."


def _converted(part: document.Part) -> list[Part]:
    if isinstance(part, document.TableData):
        return [_table(part)] if part.rows else []
    if not part.text.strip():
        return []
    is_code = part.form == "code"
    return [Code(part.text)] if is_code else [Text(part.text, _STYLES.get(part.style, "plain"))]


def _table(table: document.TableData[Any]) -> Table:
    columns = table.filled
    titles = [Column(one.heading, one.meaning, numeric=not one.wraps) for one in columns]
    rows = [[_cell(column, row) for column in columns] for row in table.rows]
    note = " ".join([table.legend, *table.notes]).strip()
    return Table(table.title or table.name.capitalize(), titles, rows, note=note)


def _cell(column: document.Column[Any], row: Any) -> Cell:
    """Return a value as a figure if it has a format, and otherwise as it is printed."""
    value = column.value(row)
    if column.text == document.RATE and isinstance(value, Estimate):
        return figure(value)
    if column.text == document.RATE and isinstance(value, int | float):
        return Figure(value, format=rate_form(value))
    found = _FORMAT.fullmatch(column.text) if isinstance(column.text, str) else None
    if found is not None and isinstance(value, Estimate):
        return figure(value, found[1])
    if found is not None and isinstance(value, int | float):
        return Figure(value, format=found[1], unit=found[2])
    text = column.printed(row).plain
    return None if text == document.EMPTY else text
