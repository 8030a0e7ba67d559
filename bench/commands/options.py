"""Options that several commands share, and what they become."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

TRAINING_SPEC = {"augment": ["horizontal_flip"]}  # what a training from scratch wants by default

Data = Annotated[
    str,
    typer.Argument(
        help="A folder a class, a folder with train/validation/test folders of classes, a CSV of "
        "path,label[,split], or a manifest."
    ),
]
Loaders = Annotated[
    list[str] | None, typer.Option("--loader", help="A loader by name; may be given again.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A loader's setting, LOADER.NAME=VALUE; several values, separated by commas, "
        "are all tried. May be given again.",
    ),
]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder for the results, new or empty; named by the time under results/ if not given.",
    ),
]
BatchSize = Annotated[int | None, typer.Option(help="Images in a batch. (default: 192)")]
ImageSize = Annotated[int | None, typer.Option(help="Pixels of a side. (default: 224)")]
Resize = Annotated[str | None, typer.Option(help="stretch, crop or pad. (default: stretch)")]
Interpolation = Annotated[str | None, typer.Option(help="nearest or bilinear. (default: nearest)")]
Antialias = Annotated[
    bool | None,
    typer.Option(
        "--antialias/--no-antialias", help="Widen the bilinear filter when shrinking. (default: no)"
    ),
]
Flip = Annotated[
    bool | None,
    typer.Option(
        "--flip/--no-flip", help="Mirror half of the images, drawn anew each epoch. (default: flip)"
    ),
]
Alpha = Annotated[float | None, typer.Option(help="Width of MobileNetV2. (default: 1.0)")]


def spec_values(
    batch_size: int | None,
    image_size: int | None,
    resize: str | None,
    interpolation: str | None,
    antialias: bool | None,
    flip: bool | None,
) -> dict[str, Any]:
    """The fields of a batch spec that were given."""
    augment = None if flip is None else (["horizontal_flip"] if flip else [])
    given = {
        "batch_size": batch_size,
        "image_size": image_size,
        "resize": resize,
        "interpolation": interpolation,
        "antialias": antialias,
        "augment": augment,
    }
    return given_only(given)


def given_only(values: dict[str, Any]) -> dict[str, Any]:
    """Without those that are None."""
    return {name: value for name, value in values.items() if value is not None}
