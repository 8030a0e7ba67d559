"""Ends and prints a comparison, for several commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.output import console, print_parts
from feedbench.bench.errors import NOTHING_DONE, SLOWER

if TYPE_CHECKING:
    from feedbench.bench.results.comparison import Comparison

FailIfSlower = Annotated[
    str | None,
    typer.Option(
        "--fail-if-slower",
        metavar="PERCENT",
        help=f"End with exit code {SLOWER} if a rate is certainly slower than the base by more "
        "than this, such as 5%.",
    ),
]


def end(comparison: Comparison) -> None:
    """End the command with the exit code of a comparison.

    Raises:
        typer.Exit: a rate is slower than allowed, or nothing could be compared or judged.
    """
    if (gate := comparison.gate) is not None:
        if gate.has_failed:
            raise typer.Exit(SLOWER)
        if not gate.judged:
            raise typer.Exit(NOTHING_DONE)
    if not any(pair.reads_images for pair in comparison.pairs):
        raise typer.Exit(NOTHING_DONE)


def print_comparison(comparison: Comparison, *, markdown: bool = False) -> None:
    """Print the tables, what differs, and the verdict."""
    from feedbench.bench.report.markdown import as_markdown
    from feedbench.bench.results.comparison_table import parts

    if markdown:
        sys.stdout.write(as_markdown(parts(comparison)))
    else:
        print_parts(console(), parts(comparison))
