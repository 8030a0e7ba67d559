"""calibrate: measures this machine's accelerator and saves it as a profile."""

from __future__ import annotations

from typing import Annotated

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options, option
from feedbench.bench.commands.options import ALPHA, BATCH_SIZE, IMAGE_SIZE, Json, Out, RecipeFile
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import recipe_of, spec_of
from feedbench.bench.plan.accelerators import add_accelerator, check_name
from feedbench.bench.plan.plan import Timing
from feedbench.bench.plan.toml import parse_model
from feedbench.loaders import parse_spec
from feedbench.trainer import Recipe


@add_options(
    option(Timing, "blocks"), option(Timing, "block_seconds"), BATCH_SIZE, IMAGE_SIZE, ALPHA
)
def calibrate(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the profile, as in --consumer emulated:NAME."),
    ],
    given: OptionValues,
    recipe: RecipeFile = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """The real trainer is timed on synthetic images, so that it never waits for data."""
    from feedbench.bench.environment import environment
    from feedbench.bench.files import write_json
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.training.calibrate import as_profile
    from feedbench.bench.training.calibrate import calibrate as measure_rate

    check_name(name)
    spec = parse_spec(spec_of(given))
    parsed_recipe = parse_model(Recipe, recipe_of({}, recipe, given), "recipe")
    timing = parse_model(Timing, given[Timing], "options")
    folder, facts, terminal = result_folder(out, "calibrate"), environment(), console()
    write_json(folder / "environment.json", facts)
    with bench_progress(console(to_errors=True)) as report:
        trial, rate = measure_rate(spec, parsed_recipe, timing, folder, report)
    profile = as_profile(spec, parsed_recipe, rate, len(trial.blocks), facts)
    path = add_accelerator(name, profile)
    if json is not None:
        write_json(json, profile.model_dump())
    terminal.print(
        f"{profile.device}: {rate:,.0f} images/s, "
        f"{profile.network}, {profile.image_size} px, batch {profile.batch_size}. "
        f"Saved as {name} in {path}.",
    )
