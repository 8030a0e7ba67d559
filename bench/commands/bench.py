"""bench and show: measure, choose, show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from feedbench.bench.analysis.augment_costs import with_costs
from feedbench.bench.commands.model_options import Given, option, takes
from feedbench.bench.commands.options import (
    ALLOW_DIFFERENT,
    ALPHA,
    CACHE_STATE,
    CONSUMER,
    FAILURES,
    SPEC,
    Blacklist,
    Data,
    Json,
    Loaders,
    Out,
    RecipeFile,
    Sets,
    listed,
    parse_set,
    readable,
)
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import chosen_loaders, overlay
from feedbench.bench.commands.run_bench import measure
from feedbench.bench.commands.run_bench import show_summary as _show
from feedbench.bench.errors import NOTHING_DONE
from feedbench.bench.plan.plan import PixelCheck, Timing, make_plan
from feedbench.bench.plan.suites import SUITES, named_suite

_TIMING = ("blocks", "block_seconds", "warm_up_seconds", "time_limit", "seed")


@takes(
    CONSUMER,
    *(option(Timing, name) for name in _TIMING),
    CACHE_STATE,
    *SPEC,
    ALPHA,
    *FAILURES,
    option(PixelCheck, "tolerance", "--pixel-tolerance"),
    ALLOW_DIFFERENT,
)
def bench(
    data: Data,
    given: Given,
    suite: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(SUITES)}, or a TOML file. By default quick, unless --loader is given."
        ),
    ] = None,
    loader: Loaders = None,
    set_: Sets = None,
    augment_costs: Annotated[
        bool,
        typer.Option(
            "--augment-costs",
            help="Also measure each loader without augmentation and with each one alone.",
        ),
    ] = False,
    blacklist: Blacklist = None,
    recipe: RecipeFile = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Blocks of all loaders are interleaved, so that drift affects each of them equally.

    Among ties, the cheapest in memory and CPU time wins. Options override a suite file.
    """
    manifest = listed(data, blacklist).only("train")
    chosen = named_suite(suite, chosen_loaders(loader), parse_set(set_ or ()), manifest)
    plan = make_plan(overlay(chosen, recipe, given))
    if augment_costs:
        plan = replace(plan, choices=tuple(with_costs(plan.choices, plan.spec.augment)))
    loaders = [choice.loader for choice in plan.choices]
    manifest, left_out = readable(manifest, loaders, console())
    measure(plan, manifest, result_folder(out, "bench"), json, data, left_out)


def show(
    result: Annotated[Path, typer.Argument(help="The folder that a bench wrote.")],
    timeline: Annotated[
        Path | None,
        typer.Option(
            help="Also draw one trial's waits, steps and meters over time; a PNG.", dir_okay=False
        ),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(
            help="Which one, by its line in trials.jsonl. (default: the winner, or the first)",
            min=1,
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Also write all trials as a trace for ui.perfetto.dev; JSON.", dir_okay=False
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Show the tables of an earlier bench or limits, derived anew from the raw record."""
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.commands.limits import show_limits
    from feedbench.bench.commands.show import keep_timeline, keep_trace
    from feedbench.bench.limits.limits import RECORD, read_limits
    from feedbench.bench.record import read_trials, write_json

    trials = read_trials(result)
    summary = summarize(trials)
    if timeline is not None:
        keep_timeline(timeline, trials, trial, summary.winner)
    if trace is not None:
        keep_trace(trace, trials)
    if (result / RECORD).is_file():
        show_limits(console(), trials, read_limits(result), result, json)
        return
    _show(console(), trials, summary)
    if json is not None:
        write_json(json, summary.model_dump())
    if summary.winner is None:
        raise typer.Exit(NOTHING_DONE)
