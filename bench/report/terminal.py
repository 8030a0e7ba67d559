"""The console of all commands: text is printed as it is, whatever the names in it hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from feedbench.bench.signals import interrupts_deferred


class Terminal(Console):
    """A console without markup, emoji codes and highlighting, to which no name can send controls.

    Names of files, classes and settings may hold `[red]`, `:smile:` or escape sequences.
    """

    def __init__(self, *, has_wide_tables: bool = False, **options: Any) -> None:
        """Open a console.

        Args:
            has_wide_tables: whether tables have all columns, however narrow the terminal is.
        """
        super().__init__(markup=False, emoji=False, highlight=False, **options)
        self._has_wide_tables = has_wide_tables

    @property
    def table_width(self) -> int:
        """The width that tables must fit into, in characters."""
        return sys.maxsize if self._has_wide_tables else self.width

    def print(self, *objects: Any, **options: Any) -> None:
        """Print a text or a table; Ctrl-C is delayed until it is printed.

        Rich keeps what is interrupted while it is written, and writes it again with the next text.
        """
        with interrupts_deferred():
            super().print(*objects, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of a text, table or progress bar, without control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=harmless(segment.text))

    def on_broken_pipe(self) -> None:
        """Raise the error again, which is handled like that of any other output."""
        raise  # within the handler of the error


def harmless(text: str) -> str:
    """Return the text with `�` in place of control characters other than line ends."""
    return "".join(char if char == "\n" or char.isprintable() else "�" for char in text)
