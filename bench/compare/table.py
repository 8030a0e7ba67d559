"""The tables of a comparison on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from feedbench.bench.compare.text import pair_name
from feedbench.bench.report.layout import (
    ALWAYS,
    EMPTY,
    Column,
    build_table,
    choose_layout,
    new_table,
)
from feedbench.bench.report.table import or_dash
from feedbench.bench.results.comparison import Comparison, RatePair, Unpaired
from feedbench.bench.training.compare import TrainingComparison

_LISTED = 8  # of what only one run has
_STYLES = {"slower": "red", "faster": "green"}
RATIO = "ratio [95 %]"


def _blocks(pair: RatePair) -> str:
    first, second = pair.blocks
    return f"{first}" if first == second else f"{first}, {second}"


def columns(base: str, other: str) -> tuple[Column[RatePair], ...]:
    """Return the columns of a table of pairs.

    Args:
        base: name of the base.
        other: name of the run.
    """
    return (
        Column(f"{base},\nimages/s [95 %]", lambda pair: or_dash(pair.base, ",.0f"), importance=2),
        Column(
            f"{other},\nimages/s [95 %]", lambda pair: or_dash(pair.other, ",.0f"), importance=2
        ),
        Column(f"\n{RATIO}", lambda pair: or_dash(pair.ratio, ".2f"), importance=ALWAYS),
        Column("\nresult", _result, importance=ALWAYS),
        Column("\nblocks", _blocks),
    )


def _result(pair: RatePair) -> str:
    return "failed" if pair.error and pair.ratio is None else pair.outcome


def pairs_table(comparison: Comparison, run: int, width: int) -> Table:
    """Return one row per pair of a run.

    Args:
        run: index of the run.
        width: of the terminal in characters.
    """
    pairs = [pair for pair in comparison.pairs if pair.run == run]
    base, other = headings(comparison, run)
    layout = choose_layout(columns(base, other), pairs, width)
    return build_table(
        layout,
        _TITLES.get(comparison.runs[run].command, "loader and settings"),
        [_name(pair) for pair in pairs],
        pairs,
        [_style(pair) for pair in pairs],
    )


_TITLES = {"diagnose": "part", "train": "rate of"}


def headings(comparison: Comparison, run: int) -> tuple[str, str]:
    """Return the names of the base and of the run; "old" and "new" if both are of one run."""
    if comparison.is_paired:
        return "old", "new"
    return comparison.runs[0].name, comparison.runs[run].name


def _name(pair: RatePair) -> Text:
    name = Text(pair_name(pair))
    for text in pair.differs:
        name.append(f"\n  differs: {text}", style="yellow")
    if pair.error and pair.ratio is None:
        name.append(f"\n  {pair.error}", style="red")
    return name


def _style(pair: RatePair) -> str:
    if not pair.reads_images:
        return "dim"
    return "red" if pair.error and pair.ratio is None else _STYLES.get(pair.outcome, "")


def unpaired_lines(comparison: Comparison, run: int) -> list[str]:
    """Return what only the base or only the run has, one line each."""
    base, other = comparison.runs[0].name, comparison.runs[run].name
    mine = [one for one in comparison.unpaired if one.run == run]
    lines = {
        base: _listed(one for one in mine if one.is_in_base),
        other: _listed(one for one in mine if not one.is_in_base),
    }
    return [f"Only in {name}: {text}" for name, text in lines.items() if text]


def _listed(unpaired: Iterable[Unpaired]) -> str:
    names = [one.name for one in unpaired]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def training_table(comparison: TrainingComparison, names: Sequence[str]) -> Table:
    """Return accuracy, recall per class, time and rate of two trainings.

    Args:
        names: of both trainings.
    """
    first, second = comparison.first, comparison.second
    table = new_table()
    for title in ("", *names):
        table.add_column(title, overflow="fold")
    table.add_row("training", first.description, second.description)
    table.add_row("accuracy [95 %]", f"{first.accuracy:.1%}", f"{second.accuracy:.1%}")
    for name, recall in first.recall.items():
        value = second.recall.get(name)
        table.add_row(f"recall of {name}", f"{recall:.1%}", f"{value:.1%}" if value else EMPTY)
    table.add_row("epochs", f"{first.epochs}", f"{second.epochs}")
    table.add_row("training time", f"{first.train_s:,.0f} s", f"{second.train_s:,.0f} s")
    return table


def mcnemar_line(comparison: TrainingComparison) -> str:
    """Return how many images only one of two trainings classifies correctly."""
    return (
        f"Images that only one training classifies correctly: {comparison.only_first} (the "
        f"first), {comparison.only_second} (the second); McNemar's exact test: p = "
        f"{comparison.p_value:.3g}"
    )
