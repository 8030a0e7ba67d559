"""Runs a search for the best loader, and saves and prints its result, for `tune`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from feedbench.bench.commands.next_step import CommandLine, next_lines
from feedbench.bench.commands.output import console, print_parts
from feedbench.bench.commands.run_bench import PIXELS, compare_pixels
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from pathlib import Path

    from feedbench.bench.pixels.result import PixelComparison
    from feedbench.bench.plan.plan import Plan
    from feedbench.bench.record import Trial
    from feedbench.bench.report.terminal import Terminal
    from feedbench.bench.tune.record import EarlierSearch, TuneRecord
    from feedbench.bench.tune.tune import Budget
    from feedbench.loaders import Manifest


def run_tune(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    budget: Budget,
    earlier: EarlierSearch,
    json: Path | None,
    given: CommandLine,
    resume: str,
) -> None:
    """Search within the budget, save best.toml and a plot, and print the result.

    Args:
        plan: its choices are the loaders to search, with their initial settings.
        folder: the result folder.
        earlier: the search to resume; empty for a new one.
        json: also save the record to this file.
        given: the command line, for the command to run next.
        resume: the command that resumes the search.

    Raises:
        InterruptedRun: Ctrl-C; the results so far are saved and printed.
        typer.Exit: nothing can be recommended.
    """
    from feedbench.bench.environment import environment
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import read_model, removed_if_nothing_kept, write_json, write_result
    from feedbench.bench.signals import interrupts_deferred
    from feedbench.bench.tune.record import TUNE, TuneRecord
    from feedbench.bench.tune.worth import WORTH, draw_worth

    terminal = console()
    with removed_if_nothing_kept(folder, but_for=TUNE):
        facts = environment()
        write_json(folder / "environment.json", facts)
        interrupted = _search(plan, manifest, folder, budget, earlier, resume)
    with interrupts_deferred():
        record = read_model(folder / TUNE, TuneRecord, "tune")
        best = _write_best(plan, record, folder, facts)
        if json is not None:
            write_result(json, record.model_dump(mode="json"))
        if any(finding.ratio for finding in record.findings):
            draw_worth(record, folder / WORTH)
    # The last line of an interrupted search, on standard error, names the command to resume it.
    print_search(terminal, record, names_resume=not interrupted)
    if interrupted:
        so_far = "the best so far" if best else "what was measured"
        raise InterruptedRun(f"interrupted; {so_far} is in {folder}; to resume: {resume}")
    if best is None:
        raise typer.Exit(NOTHING_DONE)
    for line in next_lines(given, plan, best, _trial_of(record, folder)):
        terminal.print(line, soft_wrap=True)


def _search(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    budget: Budget,
    earlier: EarlierSearch,
    resume: str,
) -> bool:
    """Compare the pixels and search; returns whether Ctrl-C stopped the search."""
    from feedbench.bench.tune.progress import tune_progress
    from feedbench.bench.tune.record import TUNE
    from feedbench.bench.tune.tune import Tune

    waits = plan.consumer != "drain"
    with tune_progress(console(to_errors=True), budget, waits=waits) as (callbacks, on_line):

        def compare() -> PixelComparison | None:
            return _compare_pixels(plan, manifest, folder, budget, earlier, on_line)

        search = Tune(plan, manifest, folder, budget, earlier, compare, resume, callbacks)
        try:
            search.run()
        except KeyboardInterrupt:
            if not (folder / TUNE).exists():
                raise
            return True
    return False


def _compare_pixels(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    budget: Budget,
    earlier: EarlierSearch,
    on_line: Callable[[str], None],
) -> PixelComparison | None:
    """Compare the pixels, or read the comparison of the search to resume.

    The budget does not cut it short: without it nothing could be recommended.
    """
    from feedbench.bench.files import read_model
    from feedbench.bench.pixels.result import PixelComparison
    from feedbench.bench.plan.plan import Choice
    from feedbench.bench.tune.space import pixel_choices

    choices = pixel_choices(plan.choices[: budget.fitting])
    if earlier.trials and (folder / PIXELS).exists():
        found = read_model(folder / PIXELS, PixelComparison, "tune")
        known = {str(Choice(loader=one.loader, settings=one.settings)) for one in found.loaders}
        if known.issuperset(map(str, choices)):  # not if it had no time for all loaders
            return found
    return compare_pixels(choices, plan, manifest, folder, on_line)


def _write_best(plan: Plan, record: TuneRecord, folder: Path, facts: dict[str, Any]) -> Path | None:
    """Return None if nothing can be recommended."""
    from feedbench.bench.analysis.best import write_best
    from feedbench.bench.tune.record import runners_up

    if record.best is None:
        return None
    rate = record.images_per_second
    return write_best(folder, plan, record.best, rate, facts, runners_up(record))


def _trial_of(record: TuneRecord, folder: Path) -> Trial | None:
    """Return the trial of the choice; None if no block of it was timed."""
    from feedbench.bench.trials_file import read_trials
    from feedbench.bench.tune.record import choice_of

    trials = (one for one in read_trials(folder) if one.blocks)
    return next((one for one in trials if choice_of(one) == record.best), None)


def print_search(terminal: Terminal, record: TuneRecord, *, names_resume: bool) -> None:
    """Print what each setting is worth, and the verdict.

    Args:
        names_resume: whether to print the command that resumes an unfinished search.
    """
    from feedbench.bench.tune.table import parts

    print_parts(terminal, parts(record, names_resume=names_resume))
