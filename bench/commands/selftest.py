"""selftest: checks the measurements against known delays, counts and bottlenecks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import Json, Out
from feedbench.bench.commands.output import console, print_parts, result_folder
from feedbench.bench.commands.run_diagnosis import print_self_test
from feedbench.bench.errors import NOTHING_DONE, PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feedbench.bench.selftest.case import Case
    from feedbench.bench.selftest.report import BatteryResult


def selftest(
    short: Annotated[
        bool, typer.Option("--short", help="Only the known delays, as before each diagnosis.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Inject real bottlenecks, diagnose each one, undo it, and compare the rate with "
            "the predicted one; takes about 15 minutes.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="With --full: only the bottlenecks whose name contains this text. May be repeated."
        ),
    ] = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """The diagnosis must name each injected bottleneck. The exit code is 1 if a check fails."""
    if full:
        _full(_chosen(only or []), result_folder(out, "selftest"), json)
    elif only or out:
        raise PlanError(f"{'--only' if only else '--out'}: needs --full")
    else:
        _known(short, json)


def _known(short: bool, json: Path | None) -> None:
    """Check known delays and counts and, unless `short`, known delays in the parts of a loader."""
    from feedbench.bench.diagnose.checks import SelfTest
    from feedbench.bench.diagnose.selftest import INJECTED_BOTTLENECKS, injected_test, short_test
    from feedbench.bench.files import write_result

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
        write_result(json, self_test.model_dump())
    if not self_test.passed:
        raise typer.Exit(NOTHING_DONE)


def _chosen(only: list[str]) -> list[Case]:
    """Return the bottlenecks whose name contains one of these texts; all without any.

    Raises:
        PlanError: a text is in no name.
    """
    from feedbench.bench.selftest.cases import CASES

    for text in only:
        if not any(text in case.name for case in CASES):
            names = "; ".join(case.name for case in CASES)
            raise PlanError(f"--only {text}: no bottleneck has that in its name; there are {names}")
    return [case for case in CASES if not only or any(text in case.name for text in only)]


def _full(cases: Sequence[Case], folder: Path, json: Path | None) -> None:
    """Inject each bottleneck; save and print the table, also while it grows."""
    from feedbench.bench.environment import environment
    from feedbench.bench.selftest.battery import run_case
    from feedbench.bench.selftest.report import BatteryResult
    from feedbench.bench.selftest.table import parts

    progress = console(to_errors=True)
    result = BatteryResult(environment=environment(), cases=[])
    for number, case in enumerate(cases, 1):

        def report(text: str, title: str = f"{number}/{len(cases)} {case.name}") -> None:
            progress.print(f"{title}: {text}", style="dim", highlight=False, markup=False)

        result.cases.append(run_case(case, folder, report))
        _save(result, folder, json)
    print_parts(console(), parts(result))
    progress.print(f"Records and table: {folder}", highlight=False, soft_wrap=True)
    if not result.passed:
        raise typer.Exit(NOTHING_DONE)


def _save(result: BatteryResult, folder: Path, json: Path | None) -> None:
    from feedbench.bench.files import write_json, write_text
    from feedbench.bench.report.markdown import as_markdown
    from feedbench.bench.selftest.table import parts

    for path in filter(None, (folder / "selftest.json", json)):
        write_json(path, result.model_dump())
    write_text(folder / "selftest.md", as_markdown(parts(result)))
