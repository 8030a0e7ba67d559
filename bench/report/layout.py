"""Tables in which nothing is cut off: names wrap, figures never do, and a short form is narrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

Row = TypeVar("Row")
EMPTY = "–"
WIDE = 120  # terminal columns from which a table may have all its columns
_NAME_WIDTH = 24  # at least, beside all columns
_GAP = 2  # between two columns


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of figures.

    Attributes:
        title: one or several lines.
        cell: returns the text of a row; `EMPTY` if the row has no value.
        in_short: whether the short table has this column too.
    """

    title: str
    cell: Callable[[Row], str]
    in_short: bool = False


@dataclass(frozen=True)
class Layout(Generic[Row]):
    """The columns that are shown at a width.

    Attributes:
        hidden: titles of columns with values that only a wider table shows.
        is_short: whether this is the short table; intervals are then below their value.
    """

    columns: list[Column[Row]]
    hidden: list[str]
    is_short: bool


def choose_layout(columns: Sequence[Column[Row]], rows: Sequence[Row], width: int) -> Layout[Row]:
    """Leave out columns without a value, and choose the short table if the full one is too wide.

    Args:
        width: of the terminal, in characters.
    """
    filled = [column for column in columns if any(column.cell(row) != EMPTY for row in rows)]
    full_width = _NAME_WIDTH + sum(_width(column, rows) + _GAP for column in filled) + _GAP
    if width >= max(WIDE, full_width):
        return Layout(filled, [], is_short=False)
    short = [column for column in filled if column.in_short]
    hidden = [" ".join(column.title.split()) for column in filled if not column.in_short]
    return Layout(short, hidden, is_short=True)


def _width(column: Column[Row], rows: Sequence[Row]) -> int:
    texts = [column.title, *map(column.cell, rows)]
    return max((len(line) for text in texts for line in text.splitlines()), default=0)


def new_table(*titles: str, **options: Any) -> Table:
    """Return a table without rows, in the style of all tables."""
    return Table(*titles, box=HORIZONTALS, padding=(0, 1, 0, 0), **options)


def build_table(
    layout: Layout[Row],
    name_title: str,
    names: Sequence[Text],
    rows: Sequence[Row],
    styles: Sequence[str] | None = None,
) -> Table:
    """Return a table with one name and its figures per row.

    Args:
        names: one per row; they wrap at words.
        styles: one rich style per row.
    """
    table = new_table(show_lines=layout.is_short)
    table.add_column(name_title, overflow="fold", min_width=8)
    for column in layout.columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    for index, (name, row) in enumerate(zip(names, rows, strict=True)):
        cells = [column.cell(row) for column in layout.columns]
        if layout.is_short:
            cells = [cell.replace(" [", "\n[") for cell in cells]
        table.add_row(name, *map(Text, cells), style=styles[index] if styles else None)
    return table
