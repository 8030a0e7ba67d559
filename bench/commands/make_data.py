"""make-data: generates photos to measure and train on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from feedbench.bench.commands.generate_photos import generate_photos
from feedbench.bench.commands.options import Json
from feedbench.bench.data.generate import PresetName


def make_data(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder to write to, new or empty.")
    ],
    images: Annotated[int, typer.Option(help="Number of images.", min=1)] = 1000,
    preset: Annotated[
        PresetName,
        typer.Option(
            help="Size of the photos, on average. imagenet: 468 × 401 px, 110 kB; web: "
            "420 × 520 px, 28 kB; mixed: as web, but some are PNG or WebP; small: 210 × 210 px, "
            "9 kB, which are decoded and learned faster."
        ),
    ] = "web",
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.", min=0)] = 0,
    json: Json = None,
) -> None:
    """Ten classes that a network can learn, one folder each, with the detail of real photos."""
    from feedbench.bench.files import write_json

    photos = generate_photos(folder, images=images, preset=preset, seed=seed)
    if json is not None:
        write_json(json, asdict(photos))
