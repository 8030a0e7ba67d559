"""compare-training: two trainings on the same test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console

if TYPE_CHECKING:
    from rich.table import Table

    from feedbench.bench.training.compare import Comparison

Run = Annotated[Path, typer.Argument(help="Folder of a finished training.")]


def compare_training(first: Run, second: Run, json: Json = None) -> None:
    """Both must have the same test images, so that the difference is paired."""
    from feedbench.bench.files import write_json
    from feedbench.bench.training.compare import compare_training as compare

    compared = compare(first, second)
    terminal = console()
    terminal.print(_table(compared))
    terminal.print(
        f"Right in one alone: {compared.only_first} and {compared.only_second} images; McNemar's "
        f"exact p = {compared.p_value:.3g}",
        highlight=False,
    )
    terminal.print(compared.text, style="bold", highlight=False)
    if json is not None:
        write_json(json, compared.model_dump())


def _table(compared: Comparison) -> Table:
    from rich.table import Table

    first, second = compared.first, compared.second
    shown = Table("", first.folder, second.folder)
    shown.add_row("training", first.description, second.description)
    shown.add_row("accuracy [95 %]", f"{first.accuracy:.1%}", f"{second.accuracy:.1%}")
    for name, share in first.recall.items():
        shown.add_row(f"recall of {name}", f"{share:.1%}", f"{second.recall[name]:.1%}")

    shown.add_row("epochs", f"{first.epochs}", f"{second.epochs}")
    shown.add_row("training time", f"{first.train_s:,.0f} s", f"{second.train_s:,.0f} s")
    shown.add_row("images/s", f"{first.images_per_second:,.0f}", f"{second.images_per_second:,.0f}")
    return shown
