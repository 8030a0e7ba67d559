"""pixels: do the loaders show the same picture?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import (
    Antialias,
    BatchSize,
    Blacklist,
    Data,
    ImageSize,
    Interpolation,
    Json,
    Loaders,
    Orientation,
    Resize,
    Sets,
    listed,
    readable,
    spec_values,
)
from feedbench.bench.commands.output import NOTHING_DONE, console

if TYPE_CHECKING:
    from feedbench.bench.plan.plan import Choice
    from feedbench.loaders import Manifest


def pixels(
    data: Data,
    loader: Loaders = None,
    set_: Sets = None,
    images: Annotated[int, typer.Option(help="How many to compare.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Decides which.", min=0)] = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Levels of 0 to 255 by which an image may differ on average. (default: 3)", min=0
        ),
    ] = None,
    worst: Annotated[int, typer.Option(help="Images to name for each loader.", min=0)] = 8,
    batch_size: BatchSize = 32,
    image_size: ImageSize = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    antialias: Antialias = None,
    orientation: Orientation = None,
    blacklist: Blacklist = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw the worst differences into this PNG.")
    ] = None,
    json: Json = None,
) -> None:
    """Feed the same images through loaders, and compare each with the first, pixel by pixel."""
    from feedbench.bench.files import write_json
    from feedbench.bench.pixels.check import check_pixels
    from feedbench.bench.pixels.table import table, verdict, worst_images
    from feedbench.bench.plan.plan import TOLERANCE
    from feedbench.loaders import parse_spec

    manifest = listed(data, blacklist)
    choices = _choices(loader, set_ or [], manifest)
    values = spec_values(
        batch_size, image_size, resize, interpolation, antialias, None, orientation
    )
    spec, terminal = parse_spec(values), console()
    names = [choice.loader for choice in choices]
    manifest, _ = readable(manifest, names, terminal)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "manifest.parquet"
        manifest.write(kept)
        found = check_pixels(
            choices,
            kept,
            spec,
            Path(folder) / "log",
            images=images,
            seed=seed,
            tolerance=TOLERANCE if tolerance is None else tolerance,
            worst=worst,
            sheet=sheet,
            started=lambda name: terminal.print(f"reading by {name}", highlight=False),
        )
    if json is not None:
        write_json(json, found.model_dump())
    terminal.print(table(found))
    for line in worst_images(found):
        terminal.print(line, highlight=False, markup=False, soft_wrap=True)
    terminal.print(verdict(found), style="bold", highlight=False)
    if not all(one.within for one in found.loaders):
        raise typer.Exit(NOTHING_DONE)


def _choices(
    loaders: list[str] | None, options: list[str], manifest: Manifest
) -> tuple[Choice, ...]:
    """Those that are named, each with its settings; all that can read the source if none is."""
    from feedbench.bench.errors import PlanError
    from feedbench.bench.plan.plan import Choice, expand, parse_set
    from feedbench.bench.plan.suites import able_loaders

    settings = parse_set(options)
    names = loaders or [one.name for one in able_loaders(manifest, settings)]
    for other in settings.keys() - set(names):
        raise PlanError(f"--set {other}.…: that loader is not compared; name it by --loader")
    choices = expand(Choice(loader=name, settings=settings.get(name, {})) for name in names)
    if len(choices) < 2:
        raise PlanError(f"--loader {names[0]}: name another to compare it with")
    return choices
