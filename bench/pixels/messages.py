"""What a pixel check's process is sent, and what it answers."""

from __future__ import annotations

from pathlib import Path

from feedbench.bench.pixels.compare import Pixels
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.messages import Message, Service
from feedbench.loaders import BatchSpec


class PixelJob(Message):
    """Compare the choices' pixels on a sample of a manifest.

    Attributes:
        worst: images to name for each choice.
        sheet: where to draw them.
    """

    choices: list[Choice]
    manifest: Path
    spec: BatchSpec
    images: int
    seed: int
    tolerance: float
    worst: int
    on_error: str
    sheet: Path | None


class Reading(Message):
    """A choice's images are read now."""

    name: str


class Compared(Message):
    """The finding."""

    pixels: Pixels


PIXEL_WORKER = Service("feedbench.bench.pixels.worker", (Reading, Compared))
