"""bench: measures loaders and chooses the best."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from feedbench.bench.analysis.augment_costs import with_augment_trials
from feedbench.bench.commands.against import OptionAgainst, check_against, find_old, with_old
from feedbench.bench.commands.devices import used_devices, warn_of_cpu
from feedbench.bench.commands.model_options import OptionValues, add_options, option
from feedbench.bench.commands.next_step import CommandLine
from feedbench.bench.commands.option_values import parse_set
from feedbench.bench.commands.options import (
    ALLOW_DIFFERENT,
    ALPHA,
    CACHE_STATE,
    CONSUMER,
    DEVICES,
    FAILURES,
    MODEL,
    SPEC,
    Blacklist,
    Data,
    Json,
    Loaders,
    Out,
    RecipeFile,
    Sets,
    Tensorboard,
    drawn_rows,
    has_validation,
    list_images,
    readable_rows,
)
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import chosen_loaders, overlay
from feedbench.bench.commands.own_model import fit_plan
from feedbench.bench.commands.run_against import (
    History,
    append_run,
    compare_with_old,
    parse_limit,
    timing_against,
)
from feedbench.bench.commands.run_bench import measure_and_show, require_best, show_next
from feedbench.bench.commands.run_compare import FailIfSlower
from feedbench.bench.plan.peers import left_out_note
from feedbench.bench.plan.plan import PixelCheck, Plan, Suite, Timing, make_plan, with_devices
from feedbench.bench.plan.suites import SUITES, select_suite, without_refused
from feedbench.bench.trials.cache_state import check_state
from feedbench.bench.trials.feasibility import check_feasible
from feedbench.bench.trials.sample import IMAGES
from feedbench.loaders import Manifest
from feedbench.loaders.images import REGION_LOADERS, decodes_regions

_TIMING = (
    "blocks",
    "early_stopping",
    "fresh_processes",
    "block_seconds",
    "warm_up_seconds",
    "time_limit",
    "seed",
)


@add_options(
    CONSUMER,
    DEVICES,
    *(option(Timing, name) for name in _TIMING),
    CACHE_STATE,
    *SPEC,
    MODEL,
    ALPHA,
    *FAILURES,
    option(PixelCheck, "tolerance", "--pixel-tolerance"),
    ALLOW_DIFFERENT,
)
def bench(
    data: Data,
    given: OptionValues,
    suite: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(SUITES)}, or a TOML file. By default quick; with --loader, only the "
            "loaders given."
        ),
    ] = None,
    loader: Loaders = None,
    set_: Sets = None,
    augment_costs: Annotated[
        bool,
        typer.Option(
            "--augment-costs",
            help="Also measure each loader without augmentation and with each augmentation alone.",
        ),
    ] = False,
    blacklist: Blacklist = None,
    images: Annotated[
        int | None,
        typer.Option(
            help="Measure at most this many images, drawn at random. By default all; with "
            f"--cache-state {IMAGES:,}, since each file is brought into that state.",
            min=1,
        ),
    ] = None,
    recipe: RecipeFile = None,
    against: OptionAgainst = None,
    fail_if_slower: FailIfSlower = None,
    history: History = None,
    tensorboard: Tensorboard = True,
    out: Out = None,
    json: Json = None,
) -> None:
    """Each loader runs in its own process; all are timed in turn, in random order.

    Of all loaders that certainly reach 95 % of the fastest rate, the cheapest in memory and CPU
    time wins.

    Options override a suite file.
    """
    limit = parse_limit(fail_if_slower, against)
    old = None if against is None else find_old(against)
    listed = list_images(data, blacklist)
    manifest = listed.only("train")
    selected = _selected(suite, loader, set_, manifest)
    selected = selected if old is None else with_old(selected, old)
    selected = overlay(selected, recipe, given)
    if not loader and suite in (None, *SUITES):
        selected = _accepted(selected)
    plan = make_plan(selected)
    _say_if_whole(plan)
    if old is not None:
        plan = replace(plan, timing=timing_against(plan.timing))
    if augment_costs:
        plan = replace(plan, choices=tuple(with_augment_trials(plan.choices, plan.spec.augment)))
    loaders = [choice.loader for choice in plan.choices]
    plan = fit_plan(plan, manifest, given)
    plan = with_devices(plan, used_devices(plan.devices))
    if old is not None:
        check_against(old, plan, console())
    plan = replace(plan, rows=manifest.fingerprint(sizes=True))
    manifest, left_out = readable_rows(manifest, loaders, console())
    state = plan.timing.cache_state
    manifest, left_out = drawn_rows(
        manifest, left_out, images or (IMAGES if state else None), console(), warm=state == "warm"
    )
    trained = plan.recipe if plan.consumer == "train" else None
    check_feasible(plan.spec, manifest, loaders, trained, plan.devices)
    check_state(state, manifest)
    folder = result_folder(out, "bench")
    warn_of_cpu(plan.consumer, plan.recipe, plan.devices)
    done = measure_and_show(
        plan, manifest, folder, json, left_out, tensorboard=tensorboard, confirm=old is None
    )
    append_run(history, done)
    if old is None:
        command_line = CommandLine(sys.argv[1:], data, blacklist, has_validation(listed))
        show_next(done, folder, plan, command_line)
        return
    if done.interrupted:
        require_best(done, folder)
    compare_with_old(done, old, folder, limit)


def _selected(
    suite: str | None, loader: list[str] | None, set_: list[str] | None, manifest: Manifest
) -> Suite:
    """Return the suite of `--suite`, `--loader` and `--set`; name libraries that are left out."""
    settings = parse_set(set_ or (), loader)
    selected = select_suite(suite, chosen_loaders(loader), settings, manifest)
    if note := left_out_note(suite, manifest, settings):
        console(to_errors=True).print(note, highlight=False, markup=False, soft_wrap=True)
    return selected


def _accepted(suite: Suite) -> Suite:
    """Return a suite of the loaders that can give what is asked for, and name the others."""
    suite, refused = without_refused(suite)
    if refused:
        console(to_errors=True).print(
            "Left out, since they cannot cut random-resized crops: " + ", ".join(map(str, refused)),
            soft_wrap=True,
        )
    return suite


def _say_if_whole(plan: Plan) -> None:
    """Say that loaders decode more than they need, because the compiled module is missing."""
    loaders = {choice.loader for choice in plan.choices}.intersection(REGION_LOADERS)
    if plan.spec.augment.random_resized_crop is not None and loaders and not decodes_regions():
        console(to_errors=True).print(
            f"{' and '.join(sorted(loaders))} decode whole JPEGs here and cut the crops out of "
            "them: the compiled module is missing (docs/install.md, Partial decoding)",
            soft_wrap=True,
        )
