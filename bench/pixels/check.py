"""Runs a pixel check in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from feedbench.bench.pixels.compare import Pixels
from feedbench.bench.pixels.messages import PIXEL_WORKER, Compared, PixelJob, Reading
from feedbench.bench.plan.plan import TOLERANCE, Choice
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.messages import Message
from feedbench.loaders import BatchSpec


def check_pixels(
    choices: Iterable[Choice],
    manifest: Path,
    spec: BatchSpec,
    log: Path,
    *,
    images: int,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    worst: int = 8,
    on_error: str = "raise",
    sheet: Path | None = None,
    started: Callable[[str], None] = lambda name: None,
    limit_s: float | None = None,
) -> Pixels:
    """Compare the loaders' pixels on a sample of a manifest's file, in a process apart.

    Args:
        log: what libraries write to standard error.
        sheet: where to draw the worst differences.
        started: called with each choice before its images are read.
        limit_s: seconds that it may take.

    Raises:
        TrialError: no loader can give the images, the process died, or took too long.
    """
    job = PixelJob(
        choices=list(choices),
        manifest=manifest.absolute(),
        spec=spec,
        images=images,
        seed=seed,
        tolerance=tolerance,
        worst=worst,
        on_error=on_error,
        sheet=sheet.absolute() if sheet else None,
    )

    def on_reading(message: Message) -> None:
        if isinstance(message, Reading):
            started(message.name)

    with Child(PIXEL_WORKER, job, log) as child:
        return child.wait_for(Compared, limit_s, "the pixel check", on_reading).pixels
