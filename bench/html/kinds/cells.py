"""Cells, rows and sentences that several kinds of report share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from feedbench.bench.analysis.estimate import Estimate, rate_form
from feedbench.bench.html.charts.dots import Dot
from feedbench.bench.html.parts import Cell, Column, Figure, Part, Table, Text

MB, GB = 1e6, 1e9
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def figure(estimate: Estimate | None, form: str | None = None) -> Figure | None:
    """Return an estimate as a cell; None if it was not measured.

    Args:
        form: format of its figures; by default that of a rate.
    """
    if estimate is None:
        return None
    form = rate_form(estimate.value) if form is None else form
    return Figure(estimate.value, estimate.low, estimate.high, form)


def number(value: float | None, form: str = ",.2f", unit: str = "", scale: float = 1.0) -> Cell:
    """Return a figure without an interval as a cell; None if it was not measured.

    Args:
        scale: the value is divided by it, to give the unit.
    """
    return None if value is None else Figure(value / scale, format=form, unit=unit)


def without_empty_columns(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    marked: frozenset[int] = frozenset(),
    note: str = "",
) -> Table:
    """Return a table of those columns that have a value in any row."""
    kept = [
        index for index in range(len(columns)) if any(row[index] not in (None, "") for row in rows)
    ]
    return Table(
        title,
        [columns[index] for index in kept],
        [[row[index] for index in kept] for row in rows],
        marked,
        note,
    )


def dots_table(title: str, value: str, rows: Sequence[Dot]) -> Table:
    """Return the rows of a chart as a table.

    Args:
        value: title of the column with the values.
    """
    return Table(title, [Column("what"), Column(value)], [[row.name, row.text] for row in rows])


def listed(rows: Sequence[Dot]) -> str:
    """Return the rows of a chart as one sentence, for screen readers."""
    return "; ".join(f"{row.name}: {row.text}" for row in rows) + "."


def first_sentence(text: str) -> tuple[str, list[Part]]:
    """Return the first sentence, for the top of the page, and the others as a paragraph."""
    first, *others = _SENTENCE_END.split(text, maxsplit=1)
    return first, [Text(other, "verdict") for other in others]
