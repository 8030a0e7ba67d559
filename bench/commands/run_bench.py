"""Runs a measurement plan and prints its result, for several commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from feedbench.bench.commands.next_step import CommandLine, next_lines
from feedbench.bench.commands.output import console, print_parts, show_hint
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from feedbench.bench.analysis.summary import Summary
    from feedbench.bench.pixels.result import PixelComparison
    from feedbench.bench.plan.plan import Choice, Plan
    from feedbench.bench.record import SamePixels, Trial
    from feedbench.bench.report.tensorboard import Logs
    from feedbench.bench.report.terminal import Terminal
    from feedbench.bench.trials.events import TrialEvent
    from feedbench.loaders import Manifest

PIXELS = "pixels.json"


@dataclass(frozen=True)
class MeasuredBench:
    """What a bench measured and saved.

    Attributes:
        best: the best.toml; None if no loader could be measured.
        interrupted: whether Ctrl-C ended it early.
    """

    trials: list[Trial]
    summary: Summary
    best: Path | None
    interrupted: bool


def measure_and_show(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    json: Path | None,
    left_out: dict[str, int] | None = None,
    *,
    tensorboard: bool,
    confirm: bool = True,
) -> MeasuredBench:
    """Measure, save and print the results; Ctrl-C ends it early.

    Args:
        confirm: whether to time the winner again, to predict its rate.
    """
    from feedbench.bench.report.tensorboard import Logs, trial_run

    terminal = console()
    logs = Logs(folder) if tensorboard else None
    bench = measure_plan(plan, manifest, folder, json, left_out, logs, confirm=confirm)
    if logs is not None:
        logs.finish([trial_run(number, trial) for number, trial in enumerate(bench.trials, 1)])
    show_summary(terminal, bench.trials, bench.summary)
    if not bench.interrupted:  # else the last line says it
        terminal.print(f"Records: {folder}", highlight=False, soft_wrap=True)
    return bench


def show_next(bench: MeasuredBench, folder: Path, plan: Plan, given: CommandLine) -> None:
    """Print the command that trains with the winner.

    Raises:
        InterruptedRun: the bench was ended by Ctrl-C.
        typer.Exit: no loader could be measured.
    """
    best, winner = require_best(bench, folder), bench.summary.winner
    trial = None if winner is None else bench.trials[winner]
    for line in next_lines(given, plan, best, trial):
        console().print(line, soft_wrap=True)


def measure_plan(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    json: Path | None = None,
    left_out: dict[str, int] | None = None,
    logs: Logs | None = None,
    *,
    confirm: bool = True,
) -> MeasuredBench:
    """Compare the pixels, run the plan and save the results; Ctrl-C ends it early.

    Args:
        logs: take each block as soon as it is timed.
    """
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.environment import environment
    from feedbench.bench.files import removed_if_nothing_kept, write_json, write_result
    from feedbench.bench.signals import interrupts_deferred
    from feedbench.bench.trials.run import write_unmeasured
    from feedbench.bench.trials_file import TRIALS, read_trials

    with removed_if_nothing_kept(folder, but_for=TRIALS):
        facts = environment()
        write_json(folder / "environment.json", facts)
        interrupted = _run_all(plan, manifest, folder, left_out, logs, confirm=confirm)
    with interrupts_deferred():
        write_unmeasured(plan, manifest, folder, left_out)
        trials = read_trials(folder)
        summary = summarize(trials)
        for path in filter(None, (folder / "summary.json", json)):
            write_result(path, summary.model_dump())
        best = _write_best(plan, trials, summary, folder, facts)
    return MeasuredBench(trials, summary, best, interrupted)


def _run_all(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    left_out: dict[str, int] | None,
    logs: Logs | None,
    *,
    confirm: bool,
) -> bool:
    """Compare the pixels and time all blocks; return whether Ctrl-C ended it early."""
    try:
        pixels = _same_pixels(plan, manifest, folder)
        _run(plan, manifest, folder, left_out, pixels, logs, confirm=confirm)
    except KeyboardInterrupt:
        return True
    return False


def require_best(bench: MeasuredBench, folder: Path) -> Path:
    """Return the best.toml of a bench that is complete.

    Raises:
        InterruptedRun: the bench was ended by Ctrl-C.
        typer.Exit: no loader could be measured.
    """
    from feedbench.bench.errors import InterruptedRun

    if bench.interrupted:
        timed = sum(len(trial.blocks) for trial in bench.trials)
        chosen = "" if bench.best is None else f", with the best so far in {bench.best.name}"
        raise InterruptedRun(
            f"interrupted; timed blocks: {timed}, saved in {folder}{chosen}; {show_hint(folder)}"
        )
    if bench.best is None:
        raise typer.Exit(NOTHING_DONE)
    return bench.best


def _same_pixels(plan: Plan, manifest: Manifest, folder: Path) -> dict[str, SamePixels]:
    """Say how long the bench will take, and compare the pixels of all choices."""
    from feedbench.bench.analysis.stopping import early_stop
    from feedbench.bench.pixels.result import by_choice
    from feedbench.bench.plan.filling import any_fills_cache
    from feedbench.bench.report.progress import duration_text

    progress = console(to_errors=True)

    def print_line(text: str) -> None:
        progress.print(text, soft_wrap=not progress.is_terminal)

    stop = early_stop(plan)
    least_blocks = None if stop is None else stop.judged_after[0]
    fills = any_fills_cache(plan.choices)
    print_line(duration_text(len(plan.choices), plan.timing, least_blocks, fills=fills))
    choices = [choice for choice in plan.choices if choice.augment is None]
    comparison = compare_pixels(choices, plan, manifest, folder, print_line)
    return by_choice(comparison, allowed=plan.pixels.allow_different)


def _run(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    left_out: dict[str, int] | None,
    pixels: dict[str, SamePixels],
    logs: Logs | None,
    *,
    confirm: bool,
) -> None:
    """Time blocks until the winner is known and was timed alone."""
    from feedbench.bench.analysis.stopping import early_stop
    from feedbench.bench.analysis.summary import can_win, to_confirm
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.report.tensorboard import trial_run
    from feedbench.bench.trials.run import run

    confirm = confirm and sum(can_win(choice) for choice in plan.choices) > 1
    choose = to_confirm if confirm else None
    with bench_progress(console(to_errors=True), plan, confirms=confirm) as report:

        def on_event(event: TrialEvent) -> None:
            report(event)
            if logs is not None and event.kind == "block":
                logs.add(trial_run(event.index + 1, event.trial))

        stop = early_stop(plan)
        run(plan, manifest, folder, on_event, left_out, pixels, stop, choose)


def _write_best(
    plan: Plan, trials: list[Trial], summary: Summary, folder: Path, facts: dict[str, object]
) -> Path | None:
    """Return None if no loader could be measured."""
    from feedbench.bench.analysis.best import write_best
    from feedbench.bench.analysis.predicted import expected_wait_share
    from feedbench.bench.analysis.summary import with_counted_blocks

    if summary.winner is None:
        return None
    choice = plan.choices[summary.winner]
    wait_share = expected_wait_share(with_counted_blocks(trials[summary.winner]))
    return write_best(folder, plan, choice, summary.predicted, facts, wait_share=wait_share)


def compare_pixels(
    choices: list[Choice],
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    on_line: Callable[[str], None],
) -> PixelComparison | None:
    """Compare the loaders' pixels on a subset of the images before they are timed.

    Images that cannot be read are left out, since they must not keep the others from being
    compared.

    Args:
        on_line: called with what happens and with the result, one line each.

    Returns:
        None if fewer than two loaders read images or the check is off; if it failed, a result in
        which no loader was compared.
    """
    from feedbench.bench.errors import TrialError
    from feedbench.bench.files import write_json
    from feedbench.bench.pixels.check import check_all_pixels
    from feedbench.bench.pixels.messages import PixelJob
    from feedbench.bench.pixels.result import not_compared
    from feedbench.bench.pixels.table import verdict
    from feedbench.bench.trials.bench import MANIFEST
    from feedbench.bench.trials.internal_loaders import is_choice

    choices = [choice for choice in choices if is_choice(choice.loader)]
    if len(choices) < 2 or not plan.pixels.images:
        return None
    on_line("comparing pixels")
    manifest.write(folder / MANIFEST)
    try:
        job = PixelJob(
            choices=choices,
            manifest=(folder / MANIFEST).absolute(),
            spec=plan.spec,
            images=plan.pixels.images,
            tolerance=plan.pixels.tolerance,
            on_error="skip",
        )
        limit_s = plan.timing.time_limit
        comparison = check_all_pixels(job, folder / "pixels.log", limit_s=limit_s)
    except TrialError as error:
        on_line(f"Pixels were not compared: {error}")
        return not_compared(choices, plan.pixels.tolerance, str(error))
    write_json(folder / PIXELS, comparison.model_dump())
    on_line(verdict(comparison))
    return comparison


def show_summary(terminal: Terminal, trials: list[Trial], summary: Summary) -> None:
    """Print the table of a bench, the costs of augmentations, and the verdict."""
    from feedbench.bench.report.summary_text import parts

    print_parts(terminal, parts(trials, summary))
