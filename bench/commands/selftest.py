"""selftest: checks the measurements against known delays, counts and bottlenecks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console
from feedbench.bench.commands.run_diagnosis import print_self_test
from feedbench.bench.errors import NOTHING_DONE


def selftest(
    short: Annotated[
        bool, typer.Option("--short", help="Only the known delays, as before each diagnosis.")
    ] = False,
    json: Json = None,
) -> None:
    """The diagnosis must name each injected bottleneck. The exit code is 1 if a check fails."""
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
        for number, bottleneck in enumerate(() if short else INJECTED_BOTTLENECKS):
            trial_folder = Path(folder) / str(number)
            trial_folder.mkdir()
            terminal.print(f"injected: {bottleneck.name}", style="dim", highlight=False)
            checks.append(injected_test(bottleneck, trial_folder, lambda _: None))
    self_test = SelfTest(checks=checks)
    print_self_test(terminal, self_test)
    if json is not None:
        write_json(json, self_test.model_dump())
    if not self_test.passed:
        raise typer.Exit(NOTHING_DONE)
