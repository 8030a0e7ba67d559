"""make-data and loaders: what there is to measure, and with what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console


def make_data(
    folder: Annotated[Path, typer.Argument(help="Where to write; new or empty.")],
    images: Annotated[int, typer.Option(help="How many.", min=1)] = 1000,
    preset: Annotated[
        Literal["imagenet", "web", "mixed"],
        typer.Option(
            help="imagenet: 468 × 401 px, 110 kB; web: 420 × 520 px, 28 kB; mixed: web, some as "
            "PNG and WebP."
        ),
    ] = "web",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 0,
    json: Json = None,
) -> None:
    """Generate photographs with natural statistics, in folders of classes to train on."""
    from dataclasses import asdict

    from feedbench.bench.data.generate import make_data as make
    from feedbench.bench.files import write_json
    from feedbench.bench.report.progress import counted

    terminal = console()
    with counted(terminal, "images", images) as advance:
        made = make(folder, images=images, preset=preset, seed=seed, advance=advance)
    terminal.print(
        f"{made.images:,} images of {made.classes} classes in {folder}: mean "
        f"{made.mean_width:.0f} × {made.mean_height:.0f} px, "
        f"{made.mean_bytes / 1000:.0f} kB, {made.bits_per_pixel:.1f} bits a pixel",
        highlight=False,
        soft_wrap=True,
    )
    if json is not None:
        write_json(json, asdict(made))


def loaders(json: Json = None) -> None:
    """What loaders there are, with their settings and what each costs."""
    from rich.table import Table

    from feedbench.bench.files import write_json
    from feedbench.loaders import LOADERS

    terminal = console()
    for loader in LOADERS.values():
        terminal.print(f"[bold]{loader.name}[/]: {loader.summary}", highlight=False)
        fields = loader.settings.model_fields
        if fields:
            shown = Table("setting", "default", "what it does and costs", box=None, padding=(0, 2))
            for name, field in fields.items():
                shown.add_row(name, str(field.default), field.description)
            terminal.print(shown)
    if json is not None:
        write_json(
            json,
            {
                loader.name: {
                    "summary": loader.summary,
                    "follows_order": loader.follows_order,
                    "settings": loader.settings.model_json_schema().get("properties", {}),
                }
                for loader in LOADERS.values()
            },
        )
