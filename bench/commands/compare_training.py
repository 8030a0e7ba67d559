"""compare-training: the accuracy of two trainings on the same test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console

if TYPE_CHECKING:
    from rich.table import Table

    from feedbench.bench.training.compare import Comparison

Folder = Annotated[Path, typer.Argument(help="Folder of a finished training.")]


def compare_training(first: Folder, second: Folder, json: Json = None) -> None:
    """Both must have the same test images, so that the difference is paired."""
    from feedbench.bench.files import write_json
    from feedbench.bench.training.compare import compare_training as compare

    comparison = compare(first, second)
    terminal = console()
    terminal.print(_table(comparison))
    terminal.print(
        f"Images that only one training classifies correctly: {comparison.only_first} (the first), "
        f"{comparison.only_second} (the second); McNemar's exact test: p = "
        f"{comparison.p_value:.3g}",
        highlight=False,
    )
    terminal.print(comparison.text, style="bold", highlight=False)
    if json is not None:
        write_json(json, comparison.model_dump())


def _table(comparison: Comparison) -> Table:
    from feedbench.bench.report.layout import new_table

    first, second = comparison.first, comparison.second
    table = new_table()
    for title in ("", *short_names(first.folder, second.folder)):
        table.add_column(title, overflow="fold")
    table.add_row("training", first.description, second.description)
    table.add_row("accuracy [95 %]", f"{first.accuracy:.1%}", f"{second.accuracy:.1%}")
    for name, recall in first.recall.items():
        table.add_row(f"recall of {name}", f"{recall:.1%}", f"{second.recall[name]:.1%}")
    table.add_row("epochs", f"{first.epochs}", f"{second.epochs}")
    table.add_row("training time", f"{first.train_s:,.0f} s", f"{second.train_s:,.0f} s")
    table.add_row("images/s", f"{first.images_per_second:,.0f}", f"{second.images_per_second:,.0f}")
    return table


def short_names(first: str, second: str) -> tuple[str, str]:
    """Return the ends of two paths from the first part in which they differ.

    Equal paths are numbered.
    """
    parts, others = Path(first).parts, Path(second).parts
    if parts == others:
        return f"1: {parts[-1]}", f"2: {others[-1]}"
    pairs = list(zip(parts, others, strict=False))
    common = next((index for index, (a, b) in enumerate(pairs) if a != b), len(pairs) - 1)
    return str(Path(*parts[common:])), str(Path(*others[common:]))
