"""limits: what the machine allows on these images, and what each loader reaches of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options, option
from feedbench.bench.commands.option_values import parse_set
from feedbench.bench.commands.options import (
    BATCH_SIZE,
    IMAGE_SIZE,
    INTERPOLATION,
    RESIZE,
    Blacklist,
    Data,
    Json,
    Loaders,
    Out,
    Sets,
    drawn_rows,
    list_images,
    readable_rows,
)
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import chosen_loaders, refuse_synthetic, spec_of
from feedbench.bench.commands.run_limits import run_limits
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.peers import left_out_note
from feedbench.bench.plan.plan import Suite, Timing, expand, merged_spec
from feedbench.bench.plan.suites import SUITES, limits_suite
from feedbench.bench.trials.cache_state import check_state
from feedbench.bench.trials.feasibility import check_feasible
from feedbench.bench.trials.sample import IMAGES

_TIMING = {"blocks": 7, "block_seconds": 2.0, "warm_up_seconds": 2.0}


@add_options(
    option(Timing, "blocks", default=_TIMING["blocks"]),
    option(Timing, "block_seconds", default=_TIMING["block_seconds"]),
    BATCH_SIZE,
    IMAGE_SIZE,
    RESIZE,
    INTERPOLATION,
)
def limits(
    data: Data,
    given: OptionValues,
    suite: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(SUITES)}, or a TOML file. By default the loaders of Feedbench that "
            "differ in their limits; with --loader, only the loaders given."
        ),
    ] = None,
    loader: Loaders = None,
    set_: Sets = None,
    blacklist: Blacklist = None,
    images: Annotated[
        int, typer.Option(help="Measure at most this many images, drawn at random.", min=1)
    ] = IMAGES,
    scaling: Annotated[
        bool,
        typer.Option(
            "--scaling",
            help="Also find what keeps each loader from using more cores: the time under locks and "
            "in single threads, measured on one core and two, and the rate that follows for 4 to "
            "64. On more than 4 cores, the rate on 4, 8 and so on is measured too.",
        ),
    ] = False,
    out: Out = None,
    json: Json = None,
) -> None:
    """Batches are discarded, so there is no recipe.

    Options override a suite file.
    """
    from feedbench.bench.limits.limits import limits_plan

    if scaling:
        _check_scaling()
    loaders = chosen_loaders(loader)
    refuse_synthetic(choice.loader for choice in loaders)
    manifest = list_images(data, blacklist).only("train")
    settings = parse_set(set_ or (), loader)
    if note := left_out_note(suite, manifest, settings):
        console(to_errors=True).print(note, highlight=False, markup=False, soft_wrap=True)
    selected = limits_suite(suite, loaders, settings, manifest)
    choices = expand(selected.trial)
    refuse_synthetic((choice.loader for choice in choices), f"--suite {suite}: loader")
    plan = limits_plan(
        choices, merged_spec(selected.spec, spec_of(given)), _timing(selected, given)
    )
    names = [choice.loader for choice in choices]
    manifest, left_out = readable_rows(manifest, names, console())
    manifest, left_out = drawn_rows(manifest, left_out, images, console(), warm=True)
    check_feasible(plan.spec, manifest, names)
    check_state(plan.timing.cache_state, manifest)
    folder = result_folder(out, "limits")
    run_limits(plan, choices, manifest, left_out, folder, json, scaling=scaling)


def _timing(suite: Suite, given: OptionValues) -> dict[str, Any]:
    """Return the fields of the timing: those of the command line, the suite file, or `_TIMING`."""
    return {**_TIMING, **suite.timing.model_dump(exclude_unset=True), **given[Timing]}


def _check_scaling() -> None:
    """Check that this machine can measure what keeps loaders from using more cores.

    Raises:
        PlanError: it has one core, or the compiled module is missing.
    """
    from feedbench.bench.limits.sampling import MODULE_MISSING, compiled_module
    from feedbench.bench.limits.scaling_run import BASIS
    from feedbench.loaders import usable_cores

    if usable_cores() < BASIS:
        raise PlanError("--scaling: needs two cores, and this process may use one; leave it out")
    if compiled_module() is None:
        raise PlanError(f"--scaling: {MODULE_MISSING}")
