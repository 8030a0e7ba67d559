"""calibrate: measures this machine's accelerator and saves it as a profile."""

from __future__ import annotations

from typing import Annotated

import typer

from feedbench.bench.commands.devices import chosen_devices
from feedbench.bench.commands.model_options import OptionValues, add_options, option
from feedbench.bench.commands.options import (
    ALPHA,
    BATCH_SIZE,
    DEVICES,
    IMAGE_SIZE,
    MODEL,
    Json,
    Out,
    RecipeFile,
)
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import recipe_of, spec_of
from feedbench.bench.commands.own_model import fit_spec
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.accelerators import add_accelerator, built_in_accelerators, check_name
from feedbench.bench.plan.plan import Timing
from feedbench.bench.plan.toml import parse_model
from feedbench.loaders import parse_spec
from feedbench.trainer import Recipe, check_devices, device_count

# The rate is kept for later: one trial alone, so there is time for long blocks.
_TIMING = {"blocks": 7, "block_seconds": 4.0, "warm_up_seconds": 5.0}


@add_options(
    *(option(Timing, name, default=_TIMING[name]) for name in ("blocks", "block_seconds")),
    DEVICES,
    BATCH_SIZE,
    IMAGE_SIZE,
    MODEL,
    ALPHA,
)
def calibrate(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the profile, as in --consumer emulated:NAME."),
    ],
    given: OptionValues,
    recipe: RecipeFile = None,
    classes: Annotated[
        int, typer.Option(help="Number of classes of the synthetic images.", min=1)
    ] = 1000,
    out: Out = None,
    json: Json = None,
) -> None:
    """The real trainer is timed on synthetic images, so that it never waits for data."""
    from feedbench.bench.analysis.contention import busy_warning
    from feedbench.bench.analysis.estimate import rate_text
    from feedbench.bench.environment import environment
    from feedbench.bench.files import write_json, write_result
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.report.summary_text import device_warnings
    from feedbench.bench.training.calibrate import as_profile, calibration
    from feedbench.bench.training.calibrate import calibrate as measure_rate

    check_name(name)
    if name in built_in_accelerators():
        raise PlanError(f"accelerator {name!r} is built in; choose another name, such as my-{name}")
    spec = parse_spec(spec_of(given))
    parsed_recipe = parse_model(Recipe, recipe_of({}, recipe, given), "recipe")
    timing = parse_model(Timing, {**_TIMING, **given[Timing]}, "options")
    spec = fit_spec(spec, parsed_recipe, classes, given)
    devices = chosen_devices(given)
    check_devices(device_count(devices), spec.batch_size, parsed_recipe)
    folder, facts, terminal = result_folder(out, "calibrate"), environment(), console()
    write_json(folder / "environment.json", facts)
    plan = calibration(spec, parsed_recipe, timing, devices)
    with bench_progress(console(to_errors=True), plan) as report:
        trial, rate = measure_rate(plan, classes, folder, report)
    profile = as_profile(trial, rate, facts)
    for line in (*device_warnings([trial]), *busy_warning([trial])):
        terminal.print(line, style="yellow", soft_wrap=True)
    path = add_accelerator(name, profile)
    if json is not None:
        write_result(json, profile.model_dump())
    terminal.print(
        f"{profile.device}: {rate_text(rate)} images/s, "
        f"{profile.network}, {profile.image_size} px, batch {profile.batch_size}. "
        f"Saved as {name} in {path}.",
    )
