"""calibrate and accelerators: what can be emulated, and this machine among it."""

from __future__ import annotations

from typing import Annotated

import typer

from feedbench.bench.commands.options import (
    Alpha,
    BatchSize,
    ImageSize,
    Json,
    Out,
    given_only,
    spec_values,
)
from feedbench.bench.commands.output import console, result_folder


def calibrate(
    name: Annotated[str, typer.Argument(help="What to call it: --consumer emulated:NAME.")],
    batch_size: BatchSize = None,
    image_size: ImageSize = None,
    alpha: Alpha = None,
    blocks: Annotated[int, typer.Option(help="Timed blocks.", min=1)] = 5,
    block_seconds: Annotated[float, typer.Option(help="Least length of a block.")] = 4.0,
    out: Out = None,
    json: Json = None,
) -> None:
    """Measure this machine's accelerator with the real trainer, and keep it as a profile."""
    from feedbench.bench.environment import environment
    from feedbench.bench.files import write_json
    from feedbench.bench.plan.accelerators import add_accelerator, check_name
    from feedbench.bench.plan.plan import Timing
    from feedbench.bench.plan.toml import parse_model
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.training.calibrate import as_profile
    from feedbench.bench.training.calibrate import calibrate as measured
    from feedbench.loaders import parse_spec
    from feedbench.trainer import Recipe

    check_name(name)
    spec = parse_spec(spec_values(batch_size, image_size, None, None, None, None))
    recipe = parse_model(Recipe, given_only({"alpha": alpha}), "recipe")
    timing = parse_model(Timing, {"blocks": blocks, "block_seconds": block_seconds}, "options")
    folder, facts, terminal = result_folder(out, "calibrate"), environment(), console()
    write_json(folder / "environment.json", facts)
    with bench_progress(terminal) as report:
        trial, rate = measured(spec, recipe, timing, folder, report)
    profile = as_profile(spec, recipe, rate, len(trial.blocks), facts)
    path = add_accelerator(name, profile)
    if json is not None:
        write_json(json, profile.model_dump())
    terminal.print(
        f"{profile.device}: {rate:,.0f} images/s, "
        f"{profile.network}, {profile.image_size} px, batch {profile.batch_size}. "
        f"Kept as {name} in {path}.",
        highlight=False,
        markup=False,
    )


def accelerators(json: Json = None) -> None:
    """List the accelerators that can be emulated, with where their rates come from."""
    from rich.table import Table

    from feedbench.bench.files import write_json
    from feedbench.bench.plan.accelerators import accelerators as known

    made = Table("name", "device", "images/s", "batch", "px", "network", "precision", "source")
    for name, one in known().items():
        network = one.network if one.alpha is None else f"{one.network}, alpha {one.alpha:g}"
        numbers = (f"{one.images_per_second:,.0f}", str(one.batch_size), str(one.image_size))
        made.add_row(name, one.device, *numbers, network, one.precision, one.source)
    console().print(made)
    if json is not None:
        write_json(json, {name: one.model_dump() for name, one in known().items()})
