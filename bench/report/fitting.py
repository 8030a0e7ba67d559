"""Fits tables into a width: nothing is cut off, and a narrow table has fewer columns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from feedbench.bench.report.document import ALWAYS, Column, TableData
from feedbench.bench.report.terminal import harmless

_NAME = 24  # characters that names have at least while other columns can be hidden
_TEXT = 12  # the same for other texts
_GAP = 2  # between two columns
_EDGES = 1  # beside the first and the last column, without their gap


@dataclass(frozen=True)
class Layout:
    """The columns of a table that are shown at a width.

    Attributes:
        columns: those that are shown.
        widths: of each of them, in characters.
        hidden: headings of columns that only a wider table shows.
        is_stacked: whether intervals are below their value.
        full_width: of the table that hides no column, in characters.
    """

    columns: list[Column[Any]]
    widths: list[int]
    hidden: list[str]
    is_stacked: bool
    full_width: int

    @property
    def width(self) -> int:
        """The width of the table in characters."""
        return _EDGES + sum(width + _GAP for width in self.widths)


@dataclass(frozen=True)
class _Sizes:
    """The widths of one column in characters.

    Attributes:
        natural: without a line break that it does not have.
        stacked: the same with intervals below their value.
        least: without a broken word.
        readable: the width for which other columns are hidden.
    """

    natural: int
    stacked: int
    least: int
    readable: int


def choose_layout(table: TableData[Any], width: int) -> Layout:
    """Leave out columns without a value; if the others are too wide, hide some, one by one.

    Args:
        width: of the terminal, in characters.
    """
    filled = table.filled
    sizes = {
        id(column): _sizes(column, table.printed, _TEXT if index else _NAME)
        for index, column in enumerate(filled)
    }
    shown = list(filled)
    is_stacked = _total(shown, sizes, _inline) > width
    if is_stacked:
        while _total(shown, sizes, _readable) > width and (least := _least_important(shown)):
            shown.remove(least)
        is_stacked = _total(shown, sizes, _inline) > width
    return Layout(
        columns=shown,
        widths=_widths(shown, sizes, width, is_stacked=is_stacked),
        hidden=[column.heading for column in filled if column not in shown],
        is_stacked=is_stacked and any(column.has_interval for column in shown),
        full_width=_total(filled, sizes, _readable),
    )


def cell_text(column: Column[Any], row: Any) -> str:
    """Return the text of a cell as a terminal shows it."""
    return harmless(column.printed(row).plain)


def stacked(column: Column[Any], cell: str) -> str:
    """Return a cell with the interval, or the range, below the value."""
    return re.sub(r" (?=[\[(])", "\n", cell) if column.has_interval else cell


def _sizes(column: Column[Any], rows: Sequence[Any], readable: int) -> _Sizes:
    cells = [column.title, *(cell_text(column, row) for row in rows)]
    narrow = max(_longest(stacked(column, cell).splitlines()) for cell in cells)
    least = max(_longest(cell.split()) for cell in cells) if column.wraps else narrow
    return _Sizes(
        natural=max(_longest(cell.splitlines()) for cell in cells),
        stacked=narrow,
        least=least,
        readable=min(narrow, max(least, readable)),
    )


def _longest(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _inline(column: Column[Any], sizes: _Sizes) -> int:
    return sizes.readable if column.wraps else sizes.natural


def _readable(column: Column[Any], sizes: _Sizes) -> int:
    return sizes.readable


def _total(
    columns: Sequence[Column[Any]],
    sizes: dict[int, _Sizes],
    width: Callable[[Column[Any], _Sizes], int],
) -> int:
    """Return the width of a table in characters."""
    return _EDGES + sum(width(column, sizes[id(column)]) + _GAP for column in columns)


def _least_important(columns: Sequence[Column[Any]]) -> Column[Any] | None:
    """Return the column to hide next, the last of equals; None if all are always shown."""
    least = min(reversed(columns), key=lambda column: column.importance, default=None)
    return None if least is None or least.importance == ALWAYS else least


def _widths(
    columns: Sequence[Column[Any]], sizes: dict[int, _Sizes], width: int, *, is_stacked: bool
) -> list[int]:
    """Return the width of each column: figures have what they need, texts share the rest."""
    of = [sizes[id(column)] for column in columns]
    wanted = [each.stacked if is_stacked else each.natural for each in of]
    spare = (
        width
        - _EDGES
        - _GAP * len(columns)
        - sum(wide for column, wide in zip(columns, wanted, strict=True) if not column.wraps)
    )
    texts = [index for index, column in enumerate(columns) if column.wraps]
    shares = share_out(spare, [of[i].least for i in texts], [wanted[i] for i in texts])
    for index, share in zip(texts, shares, strict=True):
        wanted[index] = share
    return wanted


def share_out(spare: int, least: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Divide a width among texts: first what each one needs, then more to the longer ones.

    Args:
        spare: the width to divide; if it is less than all need, the widest get less.
        least: what each needs.
        wanted: what each can use.
    """
    shares = list(least)
    while sum(shares) > max(spare, len(shares)):
        shares[shares.index(max(shares))] -= 1
    while sum(shares) < spare:
        hungry = [i for i, share in enumerate(shares) if share < wanted[i]]
        if not hungry:
            break
        shares[max(hungry, key=lambda i: math.sqrt(wanted[i]) / shares[i])] += 1
    return shares
