"""Runs a pixel check in its own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from feedbench.bench.pixels.messages import PIXEL_WORKER, Comparison, LoaderStarted, PixelJob
from feedbench.bench.pixels.result import PixelComparison
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import Message


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
