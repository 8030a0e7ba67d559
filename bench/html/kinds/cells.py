"""Cells, tables and charts that several kinds of report share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from feedbench.bench.analysis.estimate import Estimate, rate_form
from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.parts import Cell, Chart, Column, Figure, Table
from feedbench.bench.report.table import ratio_form

KB, MB, GB = 1e3, 1e6, 1e9
MOST_ROWS = 1_000  # of a table with a row per class: a page with 20,000 takes seconds to open

Row = TypeVar("Row")


@dataclass(frozen=True)
class Field(Generic[Row]):
    """A column of a table, with what stands in it.

    Attributes:
        title: short, with the unit.
        cell: returns the cell of a row.
        help: what the figure means.
    """

    title: str
    cell: Callable[[Row], Cell]
    help: str = ""


def table_of(
    title: str,
    fields: Sequence[Field[Row]],
    rows: Iterable[Row],
    marked: Callable[[Row], bool] = lambda _: False,
    note: str = "",
) -> Table:
    """Return a table of those columns that have a value in any row.

    Args:
        marked: whether to highlight a row.
        note: a sentence below the table.
    """
    rows = list(rows)
    columns = [(one, [one.cell(row) for row in rows]) for one in fields]
    filled = [(one, cells) for one, cells in columns if not all(map(_is_empty, cells)) or not rows]
    return Table(
        title,
        [Column(one.title, one.help, numeric=_are_numbers(cells)) for one, cells in filled],
        list(zip(*(cells for _, cells in filled), strict=True)),
        frozenset(index for index, row in enumerate(rows) if marked(row)),
        note,
    )


def first_rows(rows: Sequence[Row], which: str) -> tuple[Sequence[Row], str]:
    """Return the rows that a table of very many shows, and the note that says so.

    Args:
        which: of the rows come first, such as "the lowest recalls".
    """
    if len(rows) <= MOST_ROWS:
        return rows, ""
    return rows[:MOST_ROWS], f"Of {len(rows):,} rows, the {MOST_ROWS:,} with {which}."


def _is_empty(cell: Cell) -> bool:
    return cell is None or cell == ""


def _are_numbers(cells: Sequence[Cell]) -> bool:
    return all(_is_empty(cell) or not isinstance(cell, str) for cell in cells)


def figure(estimate: Estimate | None, form: str | None = None) -> Figure | None:
    """Return an estimate as a cell; None if it was not measured.

    Args:
        form: format of its figures; by default that of a rate.
    """
    if estimate is None:
        return None
    form = rate_form(estimate.value) if form is None else form
    return Figure(estimate.value, estimate.low, estimate.high, form)


def ratio_figure(ratio: Estimate | None) -> Figure | None:
    """Return a ratio as a cell, with the digits that tables in a terminal have."""
    return None if ratio is None else figure(ratio, ratio_form(ratio))


def number(value: float | None, form: str = ",.2f", unit: str = "", scale: float = 1.0) -> Cell:
    """Return a figure without an interval as a cell; None if it was not measured.

    Args:
        scale: the value is divided by it, to give the unit.
    """
    return None if value is None else Figure(value / scale, format=form, unit=unit)


def dots_chart(
    title: str,
    summary: str,
    rows: Sequence[Dot],
    axis: str,
    lines: Sequence[Line] = (),
    *,
    figures: tuple[str, str] | None = None,
    zero: bool = False,
    form: str = "",
) -> Chart:
    """Return a chart with one dot and whisker per row.

    Args:
        summary: what is shown, for screen readers; the rows follow it.
        axis: its title, with the unit.
        lines: drawn across all rows.
        figures: titles of a table of the same, and of its column with the values; None: the figures
            are in another table of the page.
        zero: whether the axis starts at 0.
        form: D3 format of the labels of the axis.
    """
    spec = dots(rows, axis, lines, zero=zero, form=form)
    table = dots_table(*figures, rows) if figures else None
    return Chart(title, f"{summary} {listed(rows)}", spec, table=table)


def dots_table(title: str, value: str, rows: Sequence[Dot]) -> Table:
    """Return the rows of a chart as a table.

    Args:
        value: title of the column with the values.
    """
    return Table(title, [Column("what"), Column(value)], [[row.name, row.text] for row in rows])


def listed(rows: Sequence[Dot]) -> str:
    """Return the rows of a chart as one sentence, for screen readers."""
    return "; ".join(f"{row.name}: {row.text}" for row in rows) + "."
