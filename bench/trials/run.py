"""Measures a plan: each trial runs in its own process, and blocks of all trials interleave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from feedbench.bench.plan.plan import Plan
from feedbench.bench.record import SamePixels, Trial
from feedbench.bench.trials.bench import MANIFEST, Bench
from feedbench.bench.trials.early_stop import EarlyStop
from feedbench.bench.trials.events import OnEvent
from feedbench.bench.trials.order import order_of_round
from feedbench.bench.trials_file import TRIALS
from feedbench.loaders import Manifest


def run(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    on_event: OnEvent,
    left_out: dict[str, int] | None = None,
    pixels: dict[str, SamePixels] | None = None,
    early_stop: EarlyStop | None = None,
    choose: Callable[[list[Trial]], int | None] | None = None,
) -> list[Trial]:
    """Measure every trial of the plan and return their records.

    The records are written to the folder after each block.

    Args:
        plan: what to measure; `check_state` has accepted its cache state.
        manifest: the images.
        folder: for records and logs.
        on_event: called with the progress.
        left_out: number of rows of the source that are not in the manifest, by reason.
        pixels: result of the pixel check for each choice, by `str(choice)`.
        early_stop: when and by what it is judged which trials need more blocks; None to time all.
        choose: called after the last round; the trial whose index it returns is timed alone, in
            `blocks_alone` more blocks.

    Raises:
        RecordError: the folder cannot be written.
    """
    manifest.write(folder / MANIFEST)
    looks = early_stop.judged_after if early_stop else ()
    asked = plan.timing.blocks
    bench = Bench(plan, manifest, folder, on_event, left_out, pixels, looks, asked)
    try:
        bench.start_together(order_of_round(plan, 0))
        rounds = _time_rounds(bench, plan, early_stop)
        if choose is not None and (winner := choose(bench.trials)) is not None:
            for round_index in bench.rounds_alone(winner, rounds):
                bench.time_block(winner, round_index)
                bench.write()
    finally:
        try:
            # First the record: closing may take seconds, in which a second Ctrl-C may come.
            bench.write()
        finally:
            bench.close()
    return bench.trials


def _time_rounds(bench: Bench, plan: Plan, early_stop: EarlyStop | None) -> int:
    """Time rounds until all are timed or no trial needs another; return how many there were."""
    for rounds in range(1, plan.timing.blocks + 1):
        for index in order_of_round(plan, rounds - 1):
            bench.time_block(index, rounds - 1)
            bench.write()
        if (
            early_stop is not None
            and rounds in early_stop.judged_after[:-1]
            and bench.stop(early_stop.judge(bench.trials), rounds)
        ):
            return rounds
    return plan.timing.blocks


def write_unmeasured(
    plan: Plan, manifest: Manifest, folder: Path, left_out: dict[str, int] | None
) -> None:
    """Write the trials of a run that was interrupted before it had written any."""
    if not (folder / TRIALS).exists():
        asked = plan.timing.blocks
        Bench(plan, manifest, folder, lambda event: None, left_out, rounds=asked).write()
