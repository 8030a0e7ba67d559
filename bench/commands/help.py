"""The help of a command, in which no terminal of 80 columns or more cuts the name of an option."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

_OPTION = 6  # cells of typer's row: the name, short, of no, and short of no; its type; its help


class OptionsTable(Table):
    """The table of options that typer prints, with the names of an option in one column.

    typer spreads them over four, and cuts those that are then too long.
    """

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add the row of an option; that of anything else stays as it is."""
        if len(cells) < _OPTION:
            super().add_row(*cells, **options)
            return
        if not self.columns:
            self.add_column(no_wrap=True)
        *marks, name, short, no, no_short, kind, text = cells
        lines = [_joined(*marks, name, short), _joined(no, no_short)]
        super().add_row(_joined(*lines, between="\n"), kind, text, **options)


def _joined(*texts: Any, between: str = " ") -> Text:
    """Return the texts that are not empty as one."""
    found = [text if isinstance(text, Text) else Text(text) for text in texts]
    return Text(between).join(text for text in found if text)


class CommandWithHelp(TyperCommand):
    """A command whose help cuts no name of an option."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        from typer import rich_utils

        rich_utils.Table = OptionsTable  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)
