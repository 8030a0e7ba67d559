"""What is printed of a comparison, as lines and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rich.text import Text

from feedbench.bench.report.document import (
    RATE,
    Column,
    Line,
    Part,
    TableData,
    Value,
    estimates,
    only_csv,
    words,
)
from feedbench.bench.report.table import ratio_text
from feedbench.bench.results.comparison import (
    Comparison,
    Difference,
    RatePair,
    TrainingChange,
    Unpaired,
)
from feedbench.bench.training.compare import TrainingComparison, TrainingSummary

_LISTED = 8  # of what only one run has
_PRINTED_FIGURES = 44  # of two trainings, of which up to 40 are recalls of classes
_STYLES = {"slower": "red", "faster": "green"}
_NAMES = {"diagnose": "part", "train": "rate of"}


def difference_text(difference: Difference) -> str:
    """Return a condition that differs, in one line."""
    text = f"differs: {difference.name} {difference.base} against {difference.other}"
    return f"{text} (allowed)" if difference.effect == "allowed" else text


def pair_name(pair: RatePair) -> str:
    """Return what is compared, both names if they differ."""
    if pair.name == pair.base_name:
        return pair.name
    return f"{pair.name} instead of {pair.base_name}"


def parts(comparison: Comparison) -> Iterator[Part]:
    """Yield what is printed."""
    yield from _what_is_compared(comparison)
    if comparison.pairs:
        yield pairs_table(comparison)
    yield from _unpaired_lines(comparison)
    for change in comparison.trainings:
        if change.accuracy is not None:
            yield training_table(comparison, change, change.accuracy)
            yield Line(mcnemar_text(change.accuracy))
    yield from (Line(note, "dim") for note in comparison.notes)
    yield Line(comparison.verdict, "bold")
    if (gate := comparison.gate) is not None:
        yield Line(gate.text, "bold red" if gate.has_failed else "bold")


def _what_is_compared(comparison: Comparison) -> Iterator[Line]:
    if comparison.is_paired:
        old = ", ".join({pair.base_name for pair in comparison.pairs})
        yield Line(f"Compared with {old}, over blocks of the same rounds:")
        return
    several = len(comparison.runs) > 2
    for run in comparison.runs:
        yield Line(f"{run.name}: {run.measured}", form="whole")
    for difference in comparison.differences:
        run_name = f"{comparison.runs[difference.run].name} " * several
        yield Line(f"{run_name}{difference_text(difference)}", "yellow", "whole")


def pairs_table(comparison: Comparison) -> TableData[RatePair]:
    """Return one row per pair of rates."""
    runs = comparison.runs
    name = _NAMES.get(runs[0].command, "loader and settings")
    base, other = headings(comparison, 1 if len(runs) == 2 else 0)
    title = pair_name if not comparison.is_paired else lambda pair: pair.name
    run_column: Column[RatePair] = words("run", "run", lambda pair: runs[pair.run].name)
    return TableData(
        name="rates",
        columns=[
            words(name, "name", lambda pair: pair.name, text=lambda pair: _name(pair, title(pair))),
            *([run_column] if len(runs) > 2 else []),
            estimates(
                f"{base},\nimages/s", "base_images_per_second", lambda pair: pair.base,
                RATE, importance=1,
            ),
            estimates(
                f"{other},\nimages/s", "images_per_second", lambda pair: pair.other,
                RATE, importance=2,
            ),
            estimates(
                _ratio_heading(comparison), "ratio",
                lambda pair: pair.ratio, lambda pair: ratio_text(pair.ratio),
            ),
            words("result", "result", _result),
            Column("blocks", "", lambda pair: None, blocks_text, importance=0),
            *_csv_columns(),
        ],
        rows=comparison.pairs,
        styles=[_style(pair) for pair in comparison.pairs],
    )  # fmt: skip


def _ratio_heading(comparison: Comparison) -> str:
    relative = comparison.relative_to
    return "ratio" if relative is None else f"ratio, relative to\n{relative}"


def _csv_columns() -> list[Column[RatePair]]:
    return [
        only_csv("base_name", lambda pair: pair.base_name),
        only_csv("base_blocks", lambda pair: pair.blocks[0]),
        only_csv("blocks", lambda pair: pair.blocks[1]),
        only_csv("error", lambda pair: pair.error),
    ]


def headings(comparison: Comparison, run: int) -> tuple[str, str]:
    """Return what the rates of the base and of a run are called in headings.

    Args:
        run: index of the run; 0 for several.
    """
    if comparison.is_paired:
        return "old", "new"
    return comparison.runs[0].name, comparison.runs[run].name if run else "run"


def _name(pair: RatePair, title: str) -> Text:
    name = Text(title)
    for text in pair.differs:
        name.append(f"\ndiffers: {text}", style="yellow")
    if pair.has_failed:
        name.append(f"\n{pair.error}", style="red")
    return name


def _result(pair: RatePair) -> str:
    return "failed" if pair.has_failed else pair.outcome


def blocks_text(pair: RatePair) -> str:
    """Return the numbers of blocks of both rates, one if they are equal; empty if unknown."""
    first, second = pair.blocks
    if first == second:
        return f"{first}" if first else ""
    return f"{first}, {second}"


def _style(pair: RatePair) -> str:
    if not pair.reads_images:
        return "dim"
    return "red" if _result(pair) == "failed" else _STYLES.get(pair.outcome, "")


def _unpaired_lines(comparison: Comparison) -> Iterator[Line]:
    """Yield what only the base or only a run has."""
    base = comparison.runs[0].name
    for index, run in enumerate(comparison.runs[1:], 1):
        mine = [one for one in comparison.unpaired if one.run == index]
        gone, new = _listed(mine, is_in_base=True), _listed(mine, is_in_base=False)
        if gone:
            yield Line(f"Only in {base}, not in {run.name}: {gone}")
        if new:
            yield Line(f"Only in {run.name}: {new}")


def _listed(unpaired: Iterable[Unpaired], *, is_in_base: bool) -> str:
    names = [one.name for one in unpaired if one.is_in_base == is_in_base]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return "; ".join(names[:_LISTED]) + more


@dataclass(frozen=True)
class FigureRow:
    """A figure of two trainings.

    Attributes:
        title: what is printed before the figures.
        name: of the figure in the CSV, with its unit.
        text: format of the figures.
        second: None if the second training lacks it.
    """

    title: str
    name: str
    text: str
    first: Value
    second: Value


def training_table(
    comparison: Comparison, change: TrainingChange, accuracy: TrainingComparison
) -> TableData[FigureRow]:
    """Return accuracy, recall per class, epochs and time of two trainings."""
    base, other = headings(comparison, change.run)
    second = {name: value for _, name, _, value in _figures(accuracy.second)}
    return TableData(
        name=f"accuracy-{change.run}",
        columns=[
            words("figure", "figure", lambda row: row.name, text=lambda row: row.title),
            _figure_column(base, "base", lambda row: row.first),
            _figure_column(other, "run", lambda row: row.second),
        ],
        rows=[
            FigureRow(title, name, text, value, second.get(name))
            for title, name, text, value in _figures(accuracy.first)
        ],
        printed_rows=_PRINTED_FIGURES,
    )


def _figure_column(title: str, name: str, value: Callable[[FigureRow], Value]) -> Column[FigureRow]:
    def text(row: FigureRow) -> str:
        return "" if (one := value(row)) is None else row.text.format(one)

    return words(title, name, value, text=text, has_interval=True)


def _figures(training: TrainingSummary) -> Iterator[tuple[str, str, str, Value]]:
    """Yield title, name, format and value of each figure of a training."""
    yield "training", "training", "{}", training.description
    yield "accuracy [95 %]", "accuracy", "{:.1%}", training.accuracy
    yield "epochs", "epochs", "{}", training.epochs
    yield "training time", "train_s", "{:,.0f} s", training.train_s
    for name, value in training.recall.items():  # last: of very many, not all are printed
        yield f"recall of {name}", f"recall of {name}", "{:.1%}", value


def mcnemar_text(comparison: TrainingComparison) -> str:
    """Return how many images only one of two trainings classifies correctly."""
    return (
        f"Images that only one training classifies correctly: {comparison.only_first} (the "
        f"first), {comparison.only_second} (the second); McNemar's exact test: p = "
        f"{comparison.p_value:.3g}"
    )
