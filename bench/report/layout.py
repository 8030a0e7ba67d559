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
WIDE = 120  # terminal columns from which intervals may stand beside their values
ALWAYS = 9  # the importance of a column that is never hidden
_NAME_WIDTH = 24  # at least, beside all columns
_GAP = 2  # between two columns
_EDGES = 3  # beside the first and the last column


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of figures.

    Attributes:
        title: one or several lines.
        cell: returns the text of a row; `EMPTY` if the row has no value.
        importance: columns of less importance are hidden first if a table is too wide.
    """

    title: str
    cell: Callable[[Row], str]
    importance: int = 0


@dataclass(frozen=True)
class Layout(Generic[Row]):
    """The columns that are shown at a width.

    Attributes:
        hidden: titles of columns with values that only a wider table shows.
        is_short: whether this is the short table; intervals are then below their value.
        full_width: of the table with all columns, in characters.
    """

    columns: list[Column[Row]]
    hidden: list[str]
    is_short: bool
    full_width: int = WIDE


def choose_layout(columns: Sequence[Column[Row]], rows: Sequence[Row], width: int) -> Layout[Row]:
    """Leave out columns without a value; if the others are too wide, hide some, one by one.

    Args:
        width: of the terminal, in characters.
    """
    filled = [column for column in columns if any(column.cell(row) != EMPTY for row in rows)]
    full_width = max(WIDE, _table_width(filled, rows, str))
    if width >= full_width:
        return Layout(filled, [], is_short=False, full_width=full_width)
    shown = list(filled)
    while _table_width(shown, rows, _stacked) > width and (least := _least_important(shown)):
        shown.remove(least)
    hidden = [" ".join(column.title.split()) for column in filled if column not in shown]
    return Layout(shown, hidden, is_short=True, full_width=full_width)


def _least_important(columns: Sequence[Column[Row]]) -> Column[Row] | None:
    """Return the column to hide next, the last of equals; None if all are always shown."""
    least = min(reversed(columns), key=lambda column: column.importance, default=None)
    return None if least is None or least.importance == ALWAYS else least


def _table_width(
    columns: Sequence[Column[Row]], rows: Sequence[Row], form: Callable[[str], str]
) -> int:
    """Return the width of a table.

    Args:
        form: the text of a cell as the table shows it.
    """
    lines = [[column.title, *(form(column.cell(row)) for row in rows)] for column in columns]
    return _NAME_WIDTH + _EDGES + sum(_width(texts) + _GAP for texts in lines)


def _width(texts: Sequence[str]) -> int:
    return max(len(line) for text in texts for line in text.splitlines())


def _stacked(cell: str) -> str:
    """Return a cell with the interval below the value."""
    return cell.replace(" [", "\n[")


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
            cells = [_stacked(cell) for cell in cells]
        table.add_row(name, *map(Text, cells), style=styles[index] if styles else None)
    return table
