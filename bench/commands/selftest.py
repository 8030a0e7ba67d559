"""selftest: known answers through the code that measures unknown ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import NOTHING_DONE, console

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.diagnose.selftest import SelfTest


def selftest(
    short: Annotated[
        bool, typer.Option("--short", help="Known delays alone, as before each diagnosis.")
    ] = False,
    json: Json = None,
) -> None:
    """Measure what is known: delays, counts, and bottlenecks that are put there on purpose."""
    from feedbench.bench.diagnose.selftest import INJECTED, SelfTest, injected_test, short_test
    from feedbench.bench.files import write_json

    terminal = console()
    checks = short_test().checks
    with tempfile.TemporaryDirectory() as folder:
        for number, one in enumerate(() if short else INJECTED):
            place = Path(folder) / str(number)
            place.mkdir()
            terminal.print(f"injected: {one.name}", style="dim", highlight=False)
            checks.append(injected_test(one, place, lambda _: None))
    found = SelfTest(checks=checks)
    show_test(terminal, found)
    if json is not None:
        write_json(json, found.model_dump())
    if not found.passed:
        raise typer.Exit(NOTHING_DONE)


def show_test(terminal: Console, found: SelfTest) -> None:
    """A line a check."""
    for check in found.checks:
        word = "passed" if check.passed else "FAILED"
        terminal.print(
            f"{word}: {check.name}: {check.measured} (expected: {check.expected})",
            style="" if check.passed else "red",
            highlight=False,
        )
