"""Runs a plan: compares pixels, measures, chooses, keeps and prints; for several commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from feedbench.bench.commands.output import console
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.analysis.summary import Summary
    from feedbench.bench.pixels.result import PixelComparison
    from feedbench.bench.plan.plan import Choice, Plan
    from feedbench.bench.record import Trial
    from feedbench.loaders import Manifest


def measure(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    json: Path | None,
    data: str,
    left_out: dict[str, int] | None = None,
) -> Path | None:
    """Run a plan, keep and show its results; the best.toml if there is a winner."""
    from feedbench.bench.analysis.best import write_best
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.environment import environment
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import write_json
    from feedbench.bench.pixels.result import by_choice
    from feedbench.bench.record import read_trials
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.trials.run import run

    terminal, facts = console(), environment()
    write_json(folder / "environment.json", facts)
    interrupted = False
    choices = [choice for choice in plan.choices if choice.augment is None]
    pixels = by_choice(
        same_pixels(choices, plan, manifest, folder, terminal),
        allowed=plan.pixels.allow_different,
    )
    try:
        with bench_progress(terminal) as report:
            run(plan, manifest, folder, report, left_out, pixels)
    except KeyboardInterrupt:
        interrupted = True
    trials = read_trials(folder)
    summary = summarize(trials)
    for path in filter(None, (folder / "summary.json", json)):
        write_json(path, summary.model_dump())
    best = None
    if (winner := summary.winner) is not None:
        rate = summary.trials[winner].images_per_second
        assert rate is not None
        best = write_best(folder, plan, plan.choices[winner], rate, facts)
    show_summary(terminal, trials, summary)
    terminal.print(f"Records: {folder}", highlight=False, soft_wrap=True)
    if interrupted:
        timed = sum(trial.blocks for trial in summary.trials)
        raise InterruptedRun(f"interrupted; {timed} blocks were timed and are in {folder}")
    if best is None:
        raise typer.Exit(NOTHING_DONE)
    terminal.print(f"Next: feedbench train {data} --loader {best}", highlight=False, soft_wrap=True)
    return best


def same_pixels(
    choices: list[Choice], plan: Plan, manifest: Manifest, folder: Path, terminal: Console
) -> PixelComparison | None:
    """Compare the loaders' pixels on a sample, before any of them is timed."""
    from feedbench.bench.errors import TrialError
    from feedbench.bench.files import write_json
    from feedbench.bench.internal_loaders import is_choice
    from feedbench.bench.pixels.check import check_pixels
    from feedbench.bench.pixels.messages import PixelJob
    from feedbench.bench.pixels.table import verdict
    from feedbench.bench.trials.run import MANIFEST

    choices = [choice for choice in choices if is_choice(choice.loader)]
    if len(choices) < 2 or not plan.pixels.images:
        return None
    terminal.print("comparing pixels", style="dim")
    manifest.write(folder / MANIFEST)
    try:
        job = PixelJob(
            choices=choices,
            manifest=(folder / MANIFEST).absolute(),
            spec=plan.spec,
            images=plan.pixels.images,
            tolerance=plan.pixels.tolerance,
            on_error=plan.failures.on_error,
        )
        found = check_pixels(job, folder / "pixels.log", limit_s=plan.timing.time_limit)
    except TrialError as error:
        terminal.print(f"Pixels were not compared: {error}", style="red", highlight=False)
        return None
    write_json(folder / "pixels.json", found.model_dump())
    terminal.print(verdict(found), highlight=False)
    return found


def show_summary(terminal: Console, trials: list[Trial], summary: Summary) -> None:
    """Print the table of a bench, what augmentations cost, and the verdict."""
    from feedbench.bench.analysis.augment_costs import costs
    from feedbench.bench.report.table import headline, table, verdict

    terminal.print(headline(trials), highlight=False)
    terminal.print(table(summary))
    for cost in costs(trials):
        terminal.print(str(cost), highlight=False, markup=False, soft_wrap=True)
    terminal.print(verdict(summary), style="bold", highlight=False)
