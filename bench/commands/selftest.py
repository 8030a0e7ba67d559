"""selftest: known answers through the code that measures unknown ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console
from feedbench.bench.commands.run_diagnosis import show_test
from feedbench.bench.errors import NOTHING_DONE


def selftest(
    short: Annotated[
        bool, typer.Option("--short", help="Only the known delays, as before each diagnosis.")
    ] = False,
    json: Json = None,
) -> None:
    """Each injected bottleneck must be named by the diagnosis; fails if a check does."""
    from feedbench.bench.diagnose.selftest import (
        INJECTED_BOTTLENECKS,
        SelfTest,
        injected_test,
        short_test,
    )
    from feedbench.bench.files import write_json

    terminal = console()
    checks = short_test().checks
    with tempfile.TemporaryDirectory() as folder:
        for number, one in enumerate(() if short else INJECTED_BOTTLENECKS):
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
