"""Tables in Markdown."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(text: str) -> str:
    """Return plain text as a cell: one line, nothing of it read as Markdown or HTML."""
    lines = "<br>".join(html.escape(line, quote=False) for line in text.split("\n") if line)
    for sign in ("|", "*", "_", "[", "`"):
        lines = lines.replace(sign, f"\\{sign}")
    return lines


def code(text: str) -> str:
    """Return text as code in a cell."""
    return f"`{text.replace('|', chr(92) + '|')}`"
