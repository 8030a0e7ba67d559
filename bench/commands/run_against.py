"""What `bench` does after its blocks: the comparison with an old choice, and the history."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.run_compare import end, print_comparison
from feedbench.bench.errors import PlanError

if TYPE_CHECKING:
    from feedbench.bench.commands.against import Old
    from feedbench.bench.commands.run_bench import MeasuredBench
    from feedbench.bench.plan.plan import Timing


def _place_of_history(path: Path | None) -> Path | None:
    """Check that the file can be written: a run must not end with a line that cannot be saved."""
    if path is None:
        return None
    folder = path.resolve().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise PlanError(f"--history {path}: cannot be written; name a file that you can write")
    from feedbench.bench.compare.history import read_history

    if path.exists():
        read_history(path)
    return path


History = Annotated[
    Path | None,
    typer.Option(
        "--history",
        metavar="FILE",
        help="Also add a line to this file: time, commit, machine and the rate of each loader.",
        callback=_place_of_history,
    ),
]


def parse_limit(fail_if_slower: str | None, against: str | None) -> float | None:
    """Return the limit of `--fail-if-slower` as a share; None without it.

    Raises:
        PlanError: it is no percentage, or there is nothing to compare with.
    """
    from feedbench.bench.compare.gate import OPTION, parse_percent

    if fail_if_slower is None:
        return None
    if against is None:
        raise PlanError(f"{OPTION}: slower than what? Give --against too")
    return parse_percent(fail_if_slower)


def timing_against(timing: Timing) -> Timing:
    """Return the timing of a comparison with an old choice.

    All blocks are timed, because the question is not which loader is fastest. What differs
    between two processes that do the same is not in the blocks of one, so each block has a process
    of its own unless the user decided otherwise.
    """
    fresh = timing.fresh_processes is not False
    return timing.model_copy(update={"early_stopping": False, "fresh_processes": fresh})


def append_run(history: Path | None, done: MeasuredBench) -> None:
    """Add a line to the history, if one was given, unless the run was interrupted."""
    from feedbench.bench.compare.history import append_history, history_entry

    if history is not None and not done.interrupted:
        append_history(history, history_entry(done.trials, done.summary))


def compare_with_old(done: MeasuredBench, old: Old, folder: Path, limit: float | None) -> None:
    """Compare all other trials with the old choice, save and print that.

    Raises:
        RecordError: the old choice could not be measured.
        typer.Exit: a rate is slower than allowed, or nothing could be compared.
    """
    from feedbench.bench.compare.against import compare_against
    from feedbench.bench.files import write_result
    from feedbench.bench.results.comparison import COMPARISON

    comparison = compare_against(done.trials, str(old.choice), folder, limit)
    write_result(folder / COMPARISON, comparison.model_dump(mode="json"))
    print_comparison(comparison)
    end(comparison)
