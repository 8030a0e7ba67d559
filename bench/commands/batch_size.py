"""batch-size: the largest batch that fits into memory, and the smallest that is as fast."""

from __future__ import annotations

from typing import Annotated

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options
from feedbench.bench.commands.options import ALPHA, IMAGE_SIZE, MODEL, Data, Json, RecipeFile
from feedbench.bench.commands.output import console, print_parts
from feedbench.bench.commands.overlay import recipe_of, spec_of
from feedbench.bench.commands.own_model import fit_spec
from feedbench.bench.errors import NOTHING_DONE
from feedbench.bench.plan.toml import parse_model
from feedbench.loaders import parse_spec
from feedbench.loaders import scan as scan_source
from feedbench.trainer import Recipe

_DEFAULT_MAX = 4096


@add_options(IMAGE_SIZE, MODEL, ALPHA)
def batch_size(
    data: Data,
    given: OptionValues,
    recipe: RecipeFile = None,
    smallest: Annotated[int, typer.Option("--min", help="Smallest batch size to try.", min=1)] = 16,
    largest: Annotated[
        int | None,
        typer.Option(
            "--max",
            help=f"Largest batch size to try; by default {_DEFAULT_MAX:,}, or the number of "
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
    from feedbench.bench.files import write_result
    from feedbench.bench.training.batch_size import sizes_between, try_sizes
    from feedbench.bench.training.batch_size_table import recommendation, result_line

    rows, terminal = scan_source(data).only("train"), console()
    parsed_recipe = parse_model(Recipe, recipe_of({}, recipe, given), "recipe")
    spec = fit_spec(parse_spec(spec_of(given)), parsed_recipe, len(rows.classes), given)
    sizes = try_sizes(
        rows,
        spec,
        parsed_recipe,
        sizes_between(smallest, largest or min(_DEFAULT_MAX, len(rows))),
        seconds=seconds,
        time_limit=time_limit,
        on_result=lambda result: terminal.print(result_line(result)),
    )
    print_parts(terminal, [recommendation(sizes)])
    if json is not None:
        write_result(json, sizes.model_dump())
    if sizes.largest is None:
        raise typer.Exit(NOTHING_DONE)
