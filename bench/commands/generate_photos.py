"""Generates photos and says what they are like; for several commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from feedbench.bench.commands.output import console

if TYPE_CHECKING:
    from feedbench.bench.data.generate import GeneratedImages, PresetName


def generate_photos(
    folder: Path, *, images: int, preset: PresetName = "web", seed: int = 0
) -> GeneratedImages:
    """Write the photos, with a progress bar."""
    from feedbench.bench.data.generate import make_data
    from feedbench.bench.report.progress import counted

    terminal = console()
    with counted(terminal, "images", images) as advance:
        made = make_data(folder, images=images, preset=preset, seed=seed, advance=advance)
    terminal.print(
        f"{made.images:,} images of {made.classes} classes in {folder}: mean "
        f"{made.mean_width:.0f} × {made.mean_height:.0f} px, "
        f"{made.mean_bytes / 1000:.0f} kB, {made.bits_per_pixel:.1f} bits per pixel",
        highlight=False,
        soft_wrap=True,
    )
    return made
