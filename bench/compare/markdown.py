"""A comparison as Markdown, for a comment on a pull request or the summary of a CI job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from feedbench.bench.compare.table import columns, headings, mcnemar_line, unpaired_lines
from feedbench.bench.compare.text import difference_text, pair_name
from feedbench.bench.results.comparison import Comparison, RatePair, TrainingChange

_MARKS = {"slower": "🔴", "faster": "🟢", "same within 3 %": "⚪", "cannot tell": "❔"}


def markdown(comparison: Comparison) -> str:
    """Return the verdict, the tables and what differs."""
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"**{_escaped(comparison.verdict)}**"
    if comparison.gate is not None:
        yield from ("", _escaped(comparison.gate.text))
    for run in sorted({pair.run for pair in comparison.pairs}):
        yield ""
        yield from _pairs_table(comparison, run)
        yield from _items(unpaired_lines(comparison, run))
    for change in comparison.trainings:
        yield from _training_lines(comparison, change)
    details = [difference_text(one) for one in comparison.differences]
    yield from _items([*details, *comparison.notes])


def _pairs_table(comparison: Comparison, run: int) -> Iterator[str]:
    shown = columns(*headings(comparison, run))
    titles = ["loader and settings", *(" ".join(column.title.split()) for column in shown)]
    yield _row(titles)
    yield _row(["---", *("---:" for _ in shown)])
    for pair in comparison.pairs:
        if pair.run == run:
            yield _row([_name(pair), *(column.cell(pair) for column in shown)])


def _name(pair: RatePair) -> str:
    return " ".join(
        [_MARKS[pair.outcome], pair_name(pair), *(f"({text})" for text in pair.differs)]
    )


def _training_lines(comparison: Comparison, change: TrainingChange) -> Iterator[str]:
    if change.accuracy is None:
        return
    first, second = change.accuracy.first, change.accuracy.second
    yield ""
    yield _row(["", *headings(comparison, change.run)])
    yield _row(["---", "---:", "---:"])
    yield _row(["accuracy", f"{first.accuracy:.1%}", f"{second.accuracy:.1%}"])
    yield _row(["training time", f"{change.base_s:,.0f} s", f"{change.other_s:,.0f} s"])
    yield from ("", _escaped(mcnemar_line(change.accuracy)))


def _items(texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield ""
    yield from (f"- {_escaped(text)}" for text in texts)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    """Return text whose names cannot become tables, tags or emphasis."""
    text = " ".join(text.split())
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text
