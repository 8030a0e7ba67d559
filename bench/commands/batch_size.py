"""batch-size: which batch fits into memory, and which is as fast as any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import Alpha, Data, ImageSize, Json, given_only
from feedbench.bench.commands.output import NOTHING_DONE, console

if TYPE_CHECKING:
    from feedbench.bench.training.batch_size import Sizes, Tried

_DEFAULT_MOST = 4096


def batch_size(
    data: Data,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A TOML file of the recipe's fields.")
    ] = None,
    image_size: ImageSize = None,
    alpha: Alpha = None,
    least: Annotated[int, typer.Option("--min", help="Smallest batch to try.", min=1)] = 16,
    most: Annotated[
        int | None,
        typer.Option(
            "--max",
            help="Largest batch to try. (default: 4096, or the training images if fewer)",
            min=1,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Least timing of each size.", min=0)] = 4.0,
    time_limit: Annotated[
        float, typer.Option(help="Seconds that one size may take in all.", min=1)
    ] = 300.0,
    json: Json = None,
) -> None:
    """Try batch sizes, each in its own process: does it fit, how fast, how much memory."""
    from feedbench.bench.files import write_json
    from feedbench.bench.plan.toml import parse_model, read_toml
    from feedbench.bench.training.batch_size import sizes_between, try_sizes
    from feedbench.loaders import parse_spec
    from feedbench.loaders import scan as scan_source
    from feedbench.trainer import Recipe

    values = {**(read_toml(recipe) if recipe else {}), **given_only({"alpha": alpha})}
    made = parse_model(Recipe, values, str(recipe or "recipe"))
    spec = parse_spec(given_only({"image_size": image_size}))
    rows, terminal = scan_source(data).only("train"), console()
    sizes = try_sizes(
        rows,
        spec,
        made,
        sizes_between(least, most or min(_DEFAULT_MOST, len(rows))),
        seconds=seconds,
        time_limit=time_limit,
        on_tried=lambda one: terminal.print(_line(one), highlight=False, markup=False),
    )
    _tell(sizes)
    if json is not None:
        write_json(json, sizes.model_dump())
    if sizes.largest is None:
        raise typer.Exit(NOTHING_DONE)


def _line(one: Tried) -> str:
    if not one.fits:
        return f"{one.batch_size:>5}  does not fit: {one.why}"
    assert one.images_per_second is not None
    assert one.host_bytes is not None
    device = "–" if one.device_bytes is None else f"{one.device_bytes / 1e9:.2f} GB"
    return (
        f"{one.batch_size:>5}  fits  {one.images_per_second:>9,.1f} images/s  host "
        f"{one.host_bytes / 1e9:.2f} GB  device {device}"
    )


def _tell(sizes: Sizes) -> None:
    terminal = console()
    memory = f"{sizes.memory_bytes / 1e9:.1f} GB of {'the GPU' if sizes.on_device else 'the host'}"
    if sizes.largest is None:
        text = f"No size fits with head-room into {memory}; try a smaller --min or --image-size"
    else:
        text = (
            f"Largest that fits with head-room into {memory}: {sizes.largest}. Smallest within "
            f"2 % of the best rate: {sizes.smallest}."
        )
    terminal.print(text, style="bold", highlight=False, soft_wrap=True)
