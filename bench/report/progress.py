"""What is under way: a live display on a terminal, plain lines elsewhere."""

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

from feedbench.bench.trials.run import OnEvent, TrialEvent

_REFRESHES_PER_SECOND = 2  # a display drawn more often takes processor time from what is measured


def bar(console: Console, *columns: TextColumn) -> Progress:
    """A progress bar with counts, time spent and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=_REFRESHES_PER_SECOND,
    )


@contextmanager
def bench_progress(console: Console) -> Iterator[OnEvent]:
    """Shows the events of a bench run."""
    if not console.is_terminal:
        yield lambda event: _plain(console, event)
        return
    with bar(console, TextColumn("{task.fields[rate]}")) as progress:
        task = progress.add_task("starting", total=None, rate="")
        yield lambda event: _live(progress, task, event)


@contextmanager
def counted(console: Console, description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many of a number of things are done; plain lines at each tenth."""
    if console.is_terminal:
        with bar(console) as progress:
            task = progress.add_task(description, total=total)
            yield lambda count: progress.advance(task, count)
        return
    yield _ten_lines(console, description, total)


def _ten_lines(console: Console, description: str, total: int) -> Callable[[int], None]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if before * 10 // total != done * 10 // total:
            console.print(f"{description}: {done} of {total}", highlight=False)

    return advance


@contextmanager
def scan_progress(console: Console) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """Shows files a second and the time left; gives what to call with the files there are."""
    if not console.is_terminal:
        yield lambda total: _ten_lines(console, "read", total)
        return
    with bar(console, TextColumn("{task.fields[rate]}")) as progress:

        def start(total: int) -> Callable[[int], None]:
            task = progress.add_task("reading files", total=total, rate="")
            return lambda count: _read(progress, task, count)

        yield start


def _read(progress: Progress, task: TaskID, count: int) -> None:
    progress.advance(task, count)
    speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
    if speed:
        progress.update(task, rate=f"{speed:,.0f} files/s")


def _live(progress: Progress, task: TaskID, event: TrialEvent) -> None:
    rate = f"{event.rate:,.0f} images/s" if event.rate else ""
    progress.update(
        task, description=_doing(event), completed=event.done, total=event.blocks, rate=rate
    )
    if event.kind == "failed":
        progress.console.print(f"{event.choice}: {event.reason}", style="red", highlight=False)


def _plain(console: Console, event: TrialEvent) -> None:
    if event.kind == "block":
        console.print(
            f"[{event.done}/{event.blocks}] {event.choice}: {event.rate:,.0f} images/s",
            highlight=False,
            markup=False,
        )
    elif event.kind != "warming":
        console.print(
            f"[{event.done}/{event.blocks}] {_doing(event)}"
            + (f": {event.reason}" if event.reason else ""),
            highlight=False,
            markup=False,
        )


def _doing(event: TrialEvent) -> str:
    doing = {
        "starting": "starting",
        "warming": "warming up",
        "warm": "timing",
        "block": "timed",
        "failed": "failed",
    }[event.kind]
    filling = event.kind == "warming" and event.images < event.images_needed
    warmed = f" ({event.images} of {event.images_needed} images)" if filling else ""
    return f"{doing} {event.choice}{warmed}"
