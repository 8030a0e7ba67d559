"""tune: searches for the best loader and settings within a time budget."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.again import resume_command
from feedbench.bench.commands.devices import warn_of_cpu
from feedbench.bench.commands.model_options import OptionValues, add_options
from feedbench.bench.commands.next_step import CommandLine
from feedbench.bench.commands.option_values import parse_set
from feedbench.bench.commands.options import (
    ALLOW_DIFFERENT,
    ALPHA,
    BATCH_SIZE,
    CONSUMER,
    FLIP,
    IMAGE_SIZE,
    INTERPOLATION,
    MODEL,
    RESIZE,
    TIMING_SEED,
    Blacklist,
    Data,
    Json,
    Loaders,
    Out,
    RecipeFile,
    Sets,
    has_validation,
    list_images,
    readable_rows,
)
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import chosen_loaders, overlay, refuse_synthetic
from feedbench.bench.commands.own_model import fit_plan
from feedbench.bench.commands.run_tune import run_tune
from feedbench.bench.plan.plan import Choice, Plan, Suite, Timing, expand, make_plan
from feedbench.bench.plan.settings import with_settings
from feedbench.bench.plan.suites import available_loaders
from feedbench.bench.trials.feasibility import check_feasible
from feedbench.bench.tune.budget import DEFAULT, budget_seconds
from feedbench.loaders import LOADERS

if TYPE_CHECKING:
    from feedbench.loaders import Manifest

# Short blocks, since a search takes many. But each has one batch that a loader in line makes while
# nothing else happens, so it must have more batches than that.
_TIMING = Timing(block_seconds=0.75, block_steps=20, warm_up_seconds=2.0)
_LEAST_LIMIT_S = 60.0
_BUDGET_SHARE = 4  # a warm-up that fills a cache may take this fraction of the budget


@add_options(
    CONSUMER,
    TIMING_SEED,
    BATCH_SIZE,
    IMAGE_SIZE,
    RESIZE,
    INTERPOLATION,
    FLIP,
    MODEL,
    ALPHA,
    ALLOW_DIFFERENT,
)
def tune(
    data: Data,
    given: OptionValues,
    loader: Loaders = None,
    set_: Sets = None,
    budget: Annotated[
        str, typer.Option(help="Time for everything, warm-ups included: 90s, 5m, 1h.")
    ] = DEFAULT,
    max_memory: Annotated[
        float | None,
        typer.Option(
            help="Memory limit in GB of a trial's processes, trainer included.", min=0.001
        ),
    ] = None,
    max_cores: Annotated[
        int | None, typer.Option(help="Number of CPU cores that everything runs on.", min=1)
    ] = None,
    recipe: RecipeFile = None,
    blacklist: Blacklist = None,
    resume: Annotated[
        Path | None, typer.Option(help="Resume the search in this folder, with the same options.")
    ] = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Settings are compared in paired blocks; a search that was interrupted can be resumed."""
    from feedbench.bench.environment import conditions, restrict_cores
    from feedbench.bench.tune.record import (
        EarlierSearch,
        plan_identity,
        read_earlier_search,
        read_started,
    )
    from feedbench.bench.tune.tune import Budget

    started = None if resume is None else read_started(resume)
    seconds = budget_seconds(budget)
    if max_cores is not None:
        restrict_cores(max_cores)
    listed = list_images(data, blacklist)
    manifest = listed.only("train")
    settings = parse_set(set_ or (), loader)
    choices = chosen_loaders(loader) or _default_choices(manifest, settings)
    refuse_synthetic(choice.loader for choice in choices)
    limit_s = max(_LEAST_LIMIT_S, seconds / _BUDGET_SHARE)
    timing = _TIMING.model_copy(update={"time_limit": limit_s})
    suite = Suite(trial=with_settings(choices, settings), timing=timing)
    defaults = expand(suite.trial)
    plan = replace(make_plan(overlay(suite, recipe, given)), choices=defaults)
    plan = fit_plan(plan, manifest, given)
    plan = replace(plan, rows=manifest.fingerprint(sizes=True))
    names = [choice.loader for choice in defaults]
    manifest, _ = readable_rows(manifest, names, console())
    trained = plan.recipe if plan.consumer == "train" else None
    check_feasible(plan.spec, manifest, names, trained)
    memory = None if max_memory is None else int(max_memory * 1e9)
    earlier = EarlierSearch()
    if resume is not None and started is not None:
        identity = plan_identity(plan, memory)
        earlier = read_earlier_search(resume, started, identity, conditions(manifest))
    warn_of_cpu(plan.consumer, plan.recipe)
    fitting = None if earlier.trials else _fitting(plan, seconds, len(manifest))
    folder = resume or result_folder(out, "tune")
    limits = Budget(seconds, memory, begin=monotonic(), fitting=fitting)
    again = resume_command(sys.argv[1:], folder)
    command_line = CommandLine(sys.argv[1:], data, blacklist, has_validation(listed))
    run_tune(plan, manifest, folder, limits, earlier, json, command_line, again)


def _default_choices(manifest: Manifest, settings: dict[str, dict[str, Any]]) -> list[Choice]:
    """Return all loaders that can read the source; `--set` adds those that need a setting."""
    names = [loader.name for loader in available_loaders(manifest)]
    added = [name for name in settings if name in LOADERS and name not in names]
    return [Choice(loader=name) for name in (*names, *added)]


def _fitting(plan: Plan, seconds: float, images: int) -> int:
    """Say what fits into the budget; return the number of configurations to start from that do."""
    from feedbench.bench.tune.forecast import forecast

    fits = forecast(plan, seconds, images)
    console(to_errors=True).print(str(fits), soft_wrap=True)
    return len(fits.choices)
