"""What a command prints: lines and tables, from which terminal, Markdown and CSV are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from rich.text import Text

from feedbench.bench.analysis.estimate import Estimate, rate_text
from feedbench.bench.quantities import quantity

Row = TypeVar("Row")
Value = Estimate | float | str | None
EMPTY = "–"
ALWAYS = 9  # the importance of a column that is never hidden
RATE = "{:rate}"  # the text of a column of rates, in images per second


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of a table: its figures, and how they are printed.

    Attributes:
        title: one or several lines; empty if only the CSV has the column.
        name: in the CSV, with its unit, such as `first_batch_s`; empty if the CSV lacks the column.
        value: returns the value of a row; None if there is none.
        text: how values are printed: a format such as `{:.2f} s`, `RATE`, or a function of the row.
        importance: columns of less importance are hidden first if a table is too wide.
        meaning: what the column says, in one sentence that is printed below the table.
        wraps: whether its texts may wrap at words; figures never do.
        mark: words in such a text that stand on a line of their own where it does not fit.
        has_interval: whether its values are estimates; the CSV has a column for each end.
    """

    title: str
    name: str
    value: Callable[[Row], Value]
    text: str | Callable[[Row], str | Text] = "{}"
    importance: int = ALWAYS
    meaning: str = ""
    wraps: bool = False
    mark: str = ""
    has_interval: bool = False

    @property
    def heading(self) -> str:
        """The title on one line."""
        return " ".join(self.title.split())

    def printed(self, row: Row) -> Text:
        """Return the text of a row; `EMPTY` if it has no value."""
        if callable(self.text):
            text = self.text(row)
            return text if isinstance(text, Text) else Text(text or EMPTY)
        value = self.value(row)
        if value is None or value == "":
            return Text(EMPTY)
        if self.text == RATE and not isinstance(value, str):
            return Text(rate_text(value))
        return Text(self.text.format(value))


def words(title: str, name: str, value: Callable[[Row], Value], **options: Any) -> Column[Row]:
    """Return a column of names or sentences, which wrap at words."""
    return Column(title, name, value, wraps=True, **options)


def estimates(
    title: str,
    name: str,
    value: Callable[[Row], Estimate | None],
    text: str | Callable[[Row], str | Text],
    **options: Any,
) -> Column[Row]:
    """Return a column of figures with their intervals."""
    return Column(f"{title}\n[95 %]", name, value, text, has_interval=True, **options)


def only_csv(name: str, value: Callable[[Row], Value]) -> Column[Row]:
    """Return a column that only the CSV has."""
    return Column("", name, value)


@dataclass(frozen=True)
class TableData(Generic[Row]):
    """A table with one row per `rows`.

    Attributes:
        name: by which `show --table` finds it.
        title: printed above it; empty if the lines before it say what it is.
        styles: one rich style per row, or none.
        legend: what marks in the table mean; it follows the meanings of the columns.
        notes: paragraphs below the legend.
        printed_rows: how many rows are printed; None for all. The CSV has all.
        rule_before: index of the first row below a rule; None without one.
    """

    name: str
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    title: str = ""
    styles: Sequence[str] = ()
    legend: str = ""
    notes: Sequence[str] = ()
    printed_rows: int | None = None
    rule_before: int | None = None

    @property
    def printed(self) -> Sequence[Row]:
        """The rows that are printed."""
        return self.rows[: self.printed_rows]

    @property
    def filled(self) -> list[Column[Row]]:
        """The columns that are printed: those with a title, and a value in a row."""
        return [
            column
            for column in self.columns
            if column.title and any(column.printed(row).plain != EMPTY for row in self.printed)
        ]

    def explanation(self, columns: Sequence[Column[Any]]) -> str:
        """Return what these columns and the marks in the table mean; empty if that is clear."""
        meanings = (column.meaning for column in columns)
        return " ".join(filter(None, (*meanings, self.legend)))

    @property
    def not_printed(self) -> str:
        """A sentence on the rows that only the CSV has; empty without any."""
        count = len(self.rows) - len(self.printed)
        return f"{quantity(count, 'more row')}: feedbench show --csv has all." if count else ""


@dataclass(frozen=True)
class Line:
    """A line of text.

    Attributes:
        style: of rich.
        form: `whole` lines are never wrapped, because they are copied; `code` keeps its line ends.
    """

    text: str
    style: str = ""
    form: Literal["text", "whole", "code"] = "text"


Part = Line | TableData[Any]
