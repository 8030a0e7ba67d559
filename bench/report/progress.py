"""Progress displays: drawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from feedbench.bench.plan.plan import Plan, Timing
from feedbench.bench.report.live import LiveArea, is_live
from feedbench.bench.report.live_bench import BenchDisplay, activity
from feedbench.bench.trials.early_stop import blocks_alone
from feedbench.bench.trials.events import OnEvent, TrialEvent

_REFRESHES_PER_SECOND = 2  # more would take CPU time from what is measured
_ADDED = "Slow steps and the start of each process"
_ADDED_BY_CACHES = "Slow steps, the start of each process and the filling of caches"


def progress_bar(console: Console, *columns: TextColumn) -> Progress:
    """Return a progress bar with counts, elapsed time and remaining time."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=_REFRESHES_PER_SECOND,
    )


def duration_text(
    trials: int, timing: Timing, least_blocks: int | None = None, *, fills: bool = False
) -> str:
    """Return how long a bench takes at least, and what of.

    Args:
        trials: number of trials.
        timing: as planned.
        least_blocks: number of blocks after which it may end, and then times the winner again;
            None if it times all.
        fills: whether a trial fills a cache before it is timed.
    """
    noun = "trial" if trials == 1 else "trials"
    added = _ADDED_BY_CACHES if fills else _ADDED
    if least_blocks is None:
        least = _duration(_planned_s(trials, timing, timing.blocks))
        each = _each_text(timing, f"{timing.blocks}")
        return f"At least {least}: {trials} {noun} × {each}. {added} add to that."
    least_s, most_s = (
        _planned_s(trials, timing, blocks) + _alone_s(timing, blocks)
        for blocks in (least_blocks, timing.blocks)
    )
    each = _each_text(timing, f"{least_blocks} to {timing.blocks}")
    return (
        f"At least {_duration(least_s)}, or {_duration(most_s)} if all {timing.blocks} rounds are "
        f"needed until the choice is certain: {trials} {noun} × {each}, then the winner again. "
        f"{added} add to both."
    )


def _each_text(timing: Timing, blocks: str) -> str:
    """Return what one trial consists of."""
    warm_up, block_s = f"{timing.warm_up_seconds:g} s of warm-up", timing.block_seconds
    if timing.fresh_processes:
        return f"{blocks} × ({warm_up} + a block of {block_s:g} s)"
    noun = "block" if blocks == "1" else "blocks"
    return f"({warm_up} + {blocks} {noun} of {block_s:g} s)"


def _planned_s(trials: int, timing: Timing, blocks: int) -> float:
    warm_ups = blocks if timing.fresh_processes else 1
    return trials * (warm_ups * timing.warm_up_seconds + blocks * timing.block_seconds)


def _alone_s(timing: Timing, rounds: int) -> float:
    """Return the seconds of the winner's blocks after this many rounds."""
    warm_up_s = timing.warm_up_seconds if timing.fresh_processes else 0.0
    return blocks_alone(timing, rounds) * (warm_up_s + timing.block_seconds)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


@contextmanager
def bench_progress(console: Console, plan: Plan, *, confirms: bool = False) -> Iterator[OnEvent]:
    """Yield the callback that shows the events of a bench.

    Args:
        confirms: whether the winner is timed once more after the last round.
    """
    display = BenchDisplay(plan, confirms=confirms)
    if not is_live(console):
        yield lambda event: _print_event(console, display, event)
        return
    with LiveArea(console, display.lines):
        yield display.update


@contextmanager
def listed_progress(console: Console, description: str) -> Iterator[Callable[[int], None]]:
    """Yield a callback that takes the number of items listed since its last call.

    Their total is not known before the end. Without a terminal nothing is printed.
    """
    if not console.is_terminal:
        yield lambda count: None
        return
    columns = (
        TextColumn("{task.description}: {task.completed:,} objects", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=_REFRESHES_PER_SECOND) as progress:
        task = progress.add_task(description, total=None)
        yield lambda count: progress.advance(task, count)


@contextmanager
def count_progress(
    console: Console, description: str, total: int
) -> Iterator[Callable[[int], None]]:
    """Yield a callback that takes the number of items done since its last call.

    Without a terminal it prints one line per tenth of the items.
    """
    if console.is_terminal:
        with progress_bar(console) as progress:
            task = progress.add_task(description, total=total)
            yield lambda count: progress.advance(task, count)
        return
    yield _print_tenths(console, description, total)


def _print_tenths(console: Console, description: str, total: int) -> Callable[[int], None]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        previous, done = done, done + count
        if previous * 10 // total != done * 10 // total:
            console.print(f"{description}: {done} of {total}")

    return advance


@contextmanager
def scan_progress(console: Console) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """Yield a function that takes the number of files and returns the callback to advance.

    A terminal also shows files per second.
    """
    if not console.is_terminal:
        yield lambda total: _print_tenths(console, "files read", total)
        return
    with progress_bar(console, TextColumn("{task.fields[rate]}", markup=False)) as progress:

        def start(total: int) -> Callable[[int], None]:
            task = progress.add_task("reading files", total=total, rate="")
            return lambda count: _advance_files(progress, task, count)

        yield start


def _advance_files(progress: Progress, task: TaskID, count: int) -> None:
    progress.advance(task, count)
    speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
    if speed:
        progress.update(task, rate=f"{speed:,.0f} files/s")


def _print_event(console: Console, display: BenchDisplay, event: TrialEvent) -> None:
    before = display.warnings()
    display.update(event)
    if text := _event_text(display, event):
        console.print(f"{display.count(event)} {text}", soft_wrap=True)
    for warning in display.warnings()[len(before) :]:
        console.print(f"{warning}.", style="yellow", soft_wrap=True)


def _event_text(display: BenchDisplay, event: TrialEvent) -> str:
    """Return what a log says of an event; empty if nothing. Why a trial failed, the result says."""
    trial = event.trial
    match event.kind:
        case "block":
            rate = trial.blocks[-1].images_per_second
            return f"{event.choice}: {rate:,.0f} images/s; {display.so_far(event)}"
        case "timing" if trial.chosen_before == len(trial.blocks):
            return f"the winner again, alone, for the rate to expect: {event.choice}"
        case "warming" | "timing":
            return ""
        case "stopped" if trial.stopped is not None and trial.stopped.slower_than is None:
            return ""  # the whole bench ends, which the result says once
    return activity(event)
