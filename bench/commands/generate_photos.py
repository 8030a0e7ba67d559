"""Generates photos and prints their mean size, for several commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from feedbench.bench.commands.output import console
from feedbench.bench.quantities import quantity

if TYPE_CHECKING:
    from feedbench.bench.data.generate import GeneratedImages, PresetName


def generate_photos(
    folder: Path, *, images: int, preset: PresetName = "web", seed: int = 0, classes: int = 10
) -> GeneratedImages:
    """Generate photos with a progress bar, and print their mean size."""
    from feedbench.bench.data.generate import make_data
    from feedbench.bench.report.progress import count_progress

    with count_progress(console(to_errors=True), "images", images) as advance:
        photos = make_data(
            folder, images=images, preset=preset, seed=seed, classes=classes, advance=advance
        )
    console().print(
        f"{quantity(photos.images, 'image')} of {quantity(photos.classes, 'class')} in {folder}: "
        "mean "
        f"{photos.mean_width:.0f} × {photos.mean_height:.0f} px, "
        f"{photos.mean_bytes / 1000:.0f} kB, {photos.bits_per_pixel:.1f} bits per pixel",
        highlight=False,
        soft_wrap=True,
    )
    return photos
