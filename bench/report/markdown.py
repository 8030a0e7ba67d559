"""Tables and lines as Markdown, in which no name can have a meaning of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from feedbench.bench.report.document import Line, Part, TableData
from feedbench.bench.report.terminal import harmless

# Signs with a meaning anywhere, and an underscore or a tilde that begins or ends a word.
_SIGNS = re.compile(r"[\\`*|<>&$]|\](?=\()|(?<!\w)[_~]|[_~](?!\w)")
_LINE_STARTS = re.compile(r"^(\s*\d*)([-#+=.)])", re.MULTILINE)  # of titles and lists
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def as_markdown(parts: Iterable[Part]) -> str:
    """Return tables and paragraphs in the dialect of GitHub."""
    texts = [text for part in parts for text in _texts(part)]
    return "\n\n".join(texts) + "\n"


def escaped(text: str) -> str:
    """Return a text of which every sign is printed as it is."""
    return _SIGNS.sub(lambda sign: _ENTITIES.get(sign[0], f"\\{sign[0]}"), harmless(text))


def _paragraph(text: str) -> str:
    return _LINE_STARTS.sub(r"\1\\\2", escaped(text)).replace("\n", "<br>")


def _texts(part: Part) -> Iterator[str]:
    if isinstance(part, TableData):
        yield from _table_texts(part)
    elif part.form == "code":
        yield _code(part.text)
    elif part.text:
        yield _line(part)


def _line(line: Line) -> str:
    text = _paragraph(line.text)
    return f"**{text}**" if line.style == "bold" else text


def _code(text: str) -> str:
    """Return a code block; its fence is longer than any in the text."""
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * max(3, *(run + 1 for run in runs), 3)
    return f"{fence}\n{harmless(text).rstrip()}\n{fence}"


def _table_texts(table: TableData[Any]) -> Iterator[str]:
    columns = table.filled
    if not columns:
        return
    if table.title:
        yield f"**{escaped(table.title)}**"
    rows = ([column.printed(row).plain for column in columns] for row in table.printed)
    lines = [
        _row(escaped(column.heading) for column in columns),
        _row("---" if column.wraps else "---:" for column in columns),
        *map(_cells, rows),
    ]
    yield "\n".join(lines)
    texts = (table.explanation(columns), table.not_printed, *table.notes)
    yield from (_paragraph(text) for text in texts if text)


def _cells(cells: Iterable[str]) -> str:
    return _row(escaped(cell).replace("\n", "<br>") for cell in cells)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
