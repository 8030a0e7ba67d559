"""Runs a pixel check in its own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from feedbench.bench.errors import TrialError
from feedbench.bench.pixels.messages import PIXEL_WORKER, Comparison, LoaderStarted, PixelJob
from feedbench.bench.pixels.result import PixelComparison, not_compared
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

    def on_message(message: Message) -> None:
        if isinstance(message, LoaderStarted):
            on_reading(message.name)

    with Child(PIXEL_WORKER, job, log) as child:
        return child.wait_for(Comparison, limit_s, "the pixel check", on_message).pixels


def check_again_without_own(job: PixelJob, log: Path, limit_s: float | None) -> PixelComparison:
    """Compare as `check_pixels` does; if that fails, do so without the users' functions.

    Those may have hung or crashed, which must not keep the other loaders from being compared.

    Raises:
        TrialError: no loader could be compared.
    """
    own = [choice for choice in job.choices if find_loader(choice.loader).own is not None]
    others = [choice for choice in job.choices if choice not in own]
    try:
        return check_pixels(job, log, limit_s=limit_s)
    except TrialError as error:
        if not own or not others:
            raise
        reason = str(error)
    compared = check_pixels(job.model_copy(update={"choices": others}), log, limit_s=limit_s)
    failed = not_compared(own, job.tolerance, reason).loaders
    return compared.model_copy(update={"loaders": [*compared.loaders, *failed]})
