"""Tables as a terminal shows them."""

from __future__ import annotations

from typing import Any

from rich.box import HORIZONTALS
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from feedbench.bench.report.document import Column, TableData
from feedbench.bench.report.fitting import Layout, choose_layout, stacked


def new_table(*titles: str, **options: Any) -> Table:
    """Return a table without rows, in the style of all tables."""
    return Table(*titles, box=HORIZONTALS, padding=(0, 1, 0, 0), **options)


def rich_table(table: TableData[Any], width: int) -> tuple[Table, list[str]]:
    """Return a table that fits into a width, and the paragraphs to print below it.

    Args:
        width: of the terminal, in characters.
    """
    layout = choose_layout(table, width)
    built = new_table(
        title=table.title or None,
        title_justify="left",
        title_style="",
        show_lines=layout.is_stacked or _has_tall_rows(table, layout),
        width=layout.width,
    )
    for column, column_width in zip(layout.columns, layout.widths, strict=True):
        built.add_column(
            Text(column.title),
            justify="left" if column.wraps else "right",
            overflow="fold",
            width=column_width,
        )
    for index, row in enumerate(table.printed):
        cells = [
            _cell(column, row, layout, column_width)
            for column, column_width in zip(layout.columns, layout.widths, strict=True)
        ]
        style = table.styles[index] if table.styles else None
        built.add_row(*cells, style=style, end_section=index + 1 == table.rule_before)
    return built, _paragraphs(table, layout)


def _has_tall_rows(table: TableData[Any], layout: Layout) -> bool:
    """Whether a text takes more than two lines, so that rows need lines between them."""
    return any(
        cell_len(column.printed(row).plain) > 2 * width
        for column, width in zip(layout.columns, layout.widths, strict=True)
        if column.wraps
        for row in table.printed
    )


def _cell(column: Column[Any], row: Any, layout: Layout, width: int) -> Text:
    cell = column.printed(row)
    if column.mark and cell_len(cell.plain) > width:
        return _with_mark_alone(cell, column.mark)
    if layout.is_stacked and column.has_interval:
        return Text(stacked(column, cell.plain))
    return cell


def _with_mark_alone(cell: Text, mark: str) -> Text:
    """Return the cell with a line break before a mark, so that none comes within it."""
    name, found, _ = cell.plain.partition(f"  {mark}")
    return Text("\n").join([cell[: len(name)], cell[len(name) + 2 :]]) if found else cell


def _paragraphs(table: TableData[Any], layout: Layout) -> list[str]:
    """Return what the columns mean, what is not shown, and the notes."""
    hidden = ""
    if layout.hidden:
        hidden = (
            f"Hidden at this width: {', '.join(layout.hidden)} (shown from {layout.full_width} "
            "columns)."
        )
    texts = (table.explanation(layout.columns), table.not_printed, hidden, *table.notes)
    return [text for text in texts if text]
