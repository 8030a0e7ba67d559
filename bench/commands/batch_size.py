"""batch-size: which batch fits into memory, and which is as fast as any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options
from feedbench.bench.commands.options import ALPHA, IMAGE_SIZE, Data, Json, RecipeFile
from feedbench.bench.commands.output import console
from feedbench.bench.commands.overlay import recipe_of, spec_of
from feedbench.bench.errors import NOTHING_DONE
from feedbench.bench.plan.toml import parse_model
from feedbench.loaders import parse_spec
from feedbench.loaders import scan as scan_source
from feedbench.trainer import Recipe

if TYPE_CHECKING:
    from feedbench.bench.training.batch_size import Sizes, Tried

_DEFAULT_MOST = 4096


@add_options(IMAGE_SIZE, ALPHA)
def batch_size(
    data: Data,
    given: OptionValues,
    recipe: RecipeFile = None,
    least: Annotated[int, typer.Option("--min", help="Smallest batch size to try.", min=1)] = 16,
    most: Annotated[
        int | None,
        typer.Option(
            "--max",
            help=f"Largest batch size to try; by default {_DEFAULT_MOST:,}, or the number of "
            "training images if that is smaller.",
            min=1,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Minimum time in seconds for which each size is timed.", min=0)
    ] = 4.0,
    time_limit: Annotated[
        float, typer.Option(help="Time limit per size in seconds.", min=1)
    ] = 300.0,
    json: Json = None,
) -> None:
    """Each size is tried in its own process: does it fit, how fast, how much memory."""
    from feedbench.bench.files import write_json
    from feedbench.bench.training.batch_size import sizes_between, try_sizes

    rows, terminal = scan_source(data).only("train"), console()
    sizes = try_sizes(
        rows,
        parse_spec(spec_of(given)),
        parse_model(Recipe, recipe_of({}, recipe, given), "recipe"),
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
