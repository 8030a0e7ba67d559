"""Measures limits and loaders against them, keeps and prints; for several commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from feedbench.bench.commands.output import console
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from feedbench.bench.limits.limits import LimitsRecord, MachineLimits
    from feedbench.bench.plan.plan import Choice, Plan
    from feedbench.bench.record import Trial
    from feedbench.loaders import Manifest


def run_limits(
    plan: Plan,
    choices: Sequence[Choice],
    manifest: Manifest,
    left_out: dict[str, int],
    folder: Path,
    json: Path | None,
) -> None:
    """Run the plan, read from the disk, keep and show."""
    from feedbench.bench.environment import environment
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import write_json, write_model
    from feedbench.bench.limits.limits import RECORD, LimitsRecord, limit_of, read_cold
    from feedbench.bench.record import read_trials
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.trials.run import run

    terminal, interrupted = console(), False
    write_json(folder / "environment.json", environment())
    record = LimitsRecord(bounds={str(choice): str(limit_of(choice)) for choice in choices})
    try:
        with bench_progress(terminal) as report:
            run(plan, manifest, folder, report, left_out)
        terminal.print("reading from the disk", style="dim")
        record.disk = read_cold(manifest)
    except KeyboardInterrupt:
        interrupted = True
    write_model(folder / RECORD, record)
    show_limits(terminal, read_trials(folder), record, folder, json)
    terminal.print(f"Records: {folder}", highlight=False, soft_wrap=True)
    if interrupted:
        raise InterruptedRun(f"interrupted; the blocks that were timed are in {folder}")


def show_limits(
    terminal: Console,
    trials: list[Trial],
    record: LimitsRecord,
    folder: Path,
    json: Path | None,
) -> None:
    """Derive, keep and print."""
    from feedbench.bench.files import write_json
    from feedbench.bench.limits.limits import derive

    found = derive(trials, record)
    for path in filter(None, (folder / "limits.json", json)):
        write_json(path, found.model_dump())
    print_limits(terminal, trials, found)
    if not any(one.images_per_second for one in found.loaders):
        raise typer.Exit(NOTHING_DONE)


def print_limits(terminal: Console, trials: list[Trial], found: MachineLimits) -> None:
    """Print the limits, and the share of them that each loader reaches."""
    from feedbench.bench.limits.table import limits_table, shares_table
    from feedbench.bench.report.table import headline

    terminal.print(headline(trials), highlight=False)
    terminal.print(limits_table(found))
    terminal.print(shares_table(found))
