"""Runs a pixel check in its own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from feedbench.bench.errors import TrialError
from feedbench.bench.pixels.messages import PIXEL_WORKER, Comparison, LoaderStarted, PixelJob
from feedbench.bench.pixels.result import PixelComparison, not_compared
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import Message
from feedbench.loaders import find_loader


def check_pixels(
    job: PixelJob,
    log: Path,
    *,
    on_reading: Callable[[str], None] = lambda name: None,
    limit_s: float | None = None,
) -> PixelComparison:
    """Compare the pixels of loaders in a child process and return the result.

    Args:
        job: what to compare.
        log: file for what libraries write to standard error.
        on_reading: called with each loader before its images are read.
        limit_s: time limit in seconds.

    Raises:
        TrialError: all loaders failed, or the process died or exceeded the limit.
    """
    own = {str(choice): find_loader(choice.loader).own for choice in job.choices}

    def on_message(message: Message) -> None:
        if isinstance(message, LoaderStarted):
            child.own = own[message.name]
            on_reading(message.name)

    with Child(PIXEL_WORKER, job, log) as child:
        return child.wait_for(Comparison, limit_s, "the pixel check", on_message).pixels


def check_all_pixels(
    job: PixelJob,
    log: Path,
    *,
    on_reading: Callable[[str], None] = lambda name: None,
    limit_s: float | None = None,
) -> PixelComparison:
    """Compare as `check_pixels` does; a user's function that ends the check is left out of another.

    It may have hung or crashed, which must not keep the other loaders from being compared.

    Raises:
        TrialError: no loader could be compared.
    """
    started: list[str] = []

    def note(name: str) -> None:
        started.append(name)
        on_reading(name)

    try:
        return check_pixels(job, log, on_reading=note, limit_s=limit_s)
    except TrialError as error:
        failed = [one for one in job.choices if str(one) in started[-1:] and _is_own(one)]
        others = [one for one in job.choices if one not in failed]
        if not failed or not others:
            raise
        reason = str(error)
    left = job.model_copy(update={"choices": others})
    compared = check_all_pixels(left, log, on_reading=on_reading, limit_s=limit_s)
    without = not_compared(failed, job.tolerance, reason).loaders
    return compared.model_copy(update={"loaders": [*compared.loaders, *without]})


def _is_own(choice: Choice) -> bool:
    return find_loader(choice.loader).own is not None
