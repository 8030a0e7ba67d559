"""The parts of a page as plain data; `render.py` writes them as HTML and escapes every text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

Style = Literal["plain", "verdict", "note", "warning", "error"]


@dataclass(frozen=True)
class Figure:
    """A number of a table, with its interval if it has one.

    Attributes:
        value: what the column is sorted by; None is shown as – and sorted last.
        low: lower end of the interval, in the unit of the value.
        high: upper end of the interval.
        format: Python's format of the three numbers, such as `,.0f` or `.1%`.
        unit: shown after the number; empty where the title of the column has it.
        text: shown in place of the value, such as `≥ 100%`.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    format: str = ",.0f"
    unit: str = ""
    text: str = ""


Cell = str | int | float | Figure | None  # None is shown as –


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: short, with the unit.
        help: what the figure means, shown on hover and read by screen readers.
        numeric: align to the right.
    """

    title: str
    help: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    style: Style = "plain"


@dataclass(frozen=True)
class Code:
    """Commands or a file, with a button that copies it."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table that readers can sort, and filter if it is long.

    Attributes:
        title: what the rows are.
        columns: one per cell of a row.
        rows: in the order to show them in at first.
        marked: numbers of the rows to highlight, from 0, such as the winner's.
        note: a sentence below the table.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    marked: frozenset[int] = frozenset()
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart; the first ones of a page are drawn at once, the others in idle time.

    Attributes:
        title: the finding, as a sentence.
        summary: what the chart shows, for screen readers.
        spec: Vega-Lite with its data, without a URL; colours and fonts come from `theme.py`, the
            width from the page.
        height: of the plot in pixels, unless `spec` has one.
        table: the same figures as text.
    """

    title: str
    summary: str
    spec: dict[str, Any]
    height: int = 280
    table: Table | None = None


@dataclass(frozen=True)
class Picture:
    """A picture, such as a contact sheet, as the bytes of a PNG file."""

    title: str
    summary: str
    png: bytes


@dataclass(frozen=True)
class Details:
    """Parts that are closed until a reader opens them, and are printed only then: raw samples."""

    title: str
    parts: Sequence[Part]


Part = Text | Code | Table | Chart | Picture | Details


@dataclass(frozen=True)
class Section:
    """A section with a heading.

    Attributes:
        title: the heading.
        parts: from top to bottom.
        anchor: name of the section in addresses, unique in its report, such as `rates`.
    """

    title: str
    parts: Sequence[Part]
    anchor: str


@dataclass(frozen=True)
class Headline:
    """The verdict, whose first sentence is printed large, and the command to use it, if any."""

    sentence: str
    command: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where a report comes from, by which it is told apart from others on its page.

    Attributes:
        path: of the record or its folder, as it was named.
        command: that wrote the record.
        began: when the run began; None if the record does not say it.
        facts: the conditions of the run, by name; empty if they are not known.
        decisive: conditions that must be equal in two runs that `compare` takes; None if it takes
            no such run.
    """

    path: Path
    command: str
    began: datetime | None
    facts: Mapping[str, str]
    decisive: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Report:
    """The report of one record.

    Attributes:
        title: the kind of run and what it was run on.
        headline: shown at the top of the page.
        sections: in order of reading.
        origin: None if it was not read from a file.
    """

    title: str
    headline: Headline
    sections: Sequence[Section]
    origin: Origin | None = None
