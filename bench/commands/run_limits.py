"""Measures the limits of the machine and each loader, and prints the result, for `limits`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from feedbench.bench.commands.output import console, print_parts, show_hint
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feedbench.bench.limits.limits import LimitsRecord, MachineLimits
    from feedbench.bench.plan.plan import Choice, Plan
    from feedbench.bench.record import Trial
    from feedbench.bench.report.terminal import Terminal
    from feedbench.loaders import Manifest


def run_limits(
    plan: Plan,
    choices: Sequence[Choice],
    manifest: Manifest,
    left_out: dict[str, int],
    folder: Path,
    json: Path | None,
    *,
    scaling: bool = False,
) -> None:
    """Run the plan, read files from the storage, save and print the results.

    Args:
        choices: the loaders among the choices of the plan; the others are limits.
        left_out: number of rows that are not in the manifest, by reason.
        json: also save the result to this file.
        scaling: whether to measure what keeps each loader from using more cores.

    Raises:
        InterruptedRun: Ctrl-C; the results so far are saved and printed.
        typer.Exit: no loader could be measured.
    """
    from feedbench.bench.environment import environment
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import write_json, write_model
    from feedbench.bench.limits.limits import RECORD, LimitsRecord, limit_of, read_cold
    from feedbench.bench.report.progress import bench_progress, duration_text
    from feedbench.bench.signals import interrupts_deferred
    from feedbench.bench.trials.run import run, write_unmeasured
    from feedbench.bench.trials_file import read_trials

    terminal, progress, interrupted = console(), console(to_errors=True), False
    write_json(folder / "environment.json", environment())
    record = LimitsRecord(
        bounds={str(choice): str(limit_of(choice)) for choice in choices},
        storage="object storage" if manifest.is_remote else "disk",
    )
    # First: what a killed run leaves must not be taken for a bench of limits and loaders.
    write_model(folder / RECORD, record)
    try:
        progress.print(duration_text(len(plan.choices), plan.timing), highlight=False)
        with bench_progress(progress, plan) as report:
            run(plan, manifest, folder, report, left_out)
        progress.print(f"reading from the {record.storage}", style="dim")
        record.disk = read_cold(manifest)
        if scaling:
            _measure_scaling(record, plan, choices, folder, progress)
    except KeyboardInterrupt:
        interrupted = True
    with interrupts_deferred():
        write_unmeasured(plan, manifest, folder, left_out)
        write_model(folder / RECORD, record)
    limits = show_limits(terminal, read_trials(folder), record, folder, json)
    if interrupted:
        raise InterruptedRun(
            f"interrupted; the blocks that were timed are in {folder}; {show_hint(folder)}"
        )
    terminal.print(f"Records: {folder}", highlight=False, soft_wrap=True)
    if not any(loader.images_per_second for loader in limits.loaders):
        raise typer.Exit(NOTHING_DONE)


def _measure_scaling(
    record: LimitsRecord,
    plan: Plan,
    choices: Sequence[Choice],
    folder: Path,
    progress: Terminal,
) -> None:
    """Run each loader on one core, on two, and on more where there are more."""
    from feedbench.bench.files import write_model
    from feedbench.bench.limits.limits import RECORD
    from feedbench.bench.limits.scaling_run import CoresTiming, core_counts, run_on_cores
    from feedbench.loaders import usable_cores

    timing, counts = CoresTiming.of(plan.timing), core_counts(usable_cores())
    least_s = len(choices) * len(counts) * timing.seconds
    progress.print(
        f"each loader on {' and '.join(map(str, counts))} cores: at least {least_s:.0f} s",
        style="dim",
    )
    for choice in choices:
        runs = record.scaling.setdefault(str(choice), [])
        progress.print(f"  {choice}", style="dim", highlight=False, markup=False, soft_wrap=True)
        for measured in run_on_cores(choice, plan, folder, timing):
            runs.append(measured)
            write_model(folder / RECORD, record)


def show_limits(
    terminal: Terminal,
    trials: list[Trial],
    record: LimitsRecord,
    folder: Path,
    json: Path | None,
) -> MachineLimits:
    """Derive the limits from the record, save and print them, and return them."""
    from feedbench.bench.files import write_result
    from feedbench.bench.limits.limits import derive

    limits = derive(trials, record)
    for path in filter(None, (folder / "limits.json", json)):
        write_result(path, limits.model_dump())
    print_limits(terminal, trials, limits)
    return limits


def print_limits(terminal: Terminal, trials: list[Trial], limits: MachineLimits) -> None:
    """Print the limits and what each loader reaches of its limit."""
    from feedbench.bench.limits.table import parts

    print_parts(terminal, parts(trials, limits))
