"""Messages between a pixel check and the process that runs it."""

from __future__ import annotations

from pathlib import Path

from feedbench.bench.pixels.result import PixelComparison
from feedbench.bench.plan.plan import TOLERANCE, Choice
from feedbench.bench.trials.protocol import Message, Service
from feedbench.loaders import BatchSpec


class PixelJob(Message):
    """Compare the pixels of loaders on a random subset of a manifest.

    Attributes:
        choices: loaders with their settings.
        manifest: absolute path of the manifest's file.
        spec: what an image must be.
        images: number of images to compare.
        seed: of the random subset.
        tolerance: largest mean difference per image that counts as the same, in levels.
        worst_images: number of images to report for each loader.
        on_error: "skip" leaves out files that fail in all loaders.
        sheet: absolute path of a PNG to draw the worst differences into.
    """

    choices: list[Choice]
    manifest: Path
    spec: BatchSpec
    images: int
    seed: int = 0
    tolerance: float = TOLERANCE
    worst_images: int = 8
    on_error: str = "raise"
    sheet: Path | None = None


class LoaderStarted(Message):
    """A loader starts to read its images."""

    name: str


class Comparison(Message):
    """The result."""

    pixels: PixelComparison


PIXEL_WORKER = Service("feedbench.bench.pixels.worker", (LoaderStarted, Comparison))
