"""bench: measure, choose, show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.options import (
    TRAINING_SPEC,
    Alpha,
    Antialias,
    Augmentations,
    Balance,
    BatchSize,
    Blacklist,
    CacheStateOption,
    Data,
    ErrorBudget,
    Flip,
    ImageSize,
    Interpolation,
    Json,
    Loaders,
    OnError,
    Orientation,
    Out,
    Range,
    Resize,
    Sets,
    given_only,
    listed,
    readable,
    spec_values,
)
from feedbench.bench.commands.output import NOTHING_DONE, console, result_folder

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.analysis.summary import Summary
    from feedbench.bench.pixels.compare import Pixels
    from feedbench.bench.plan.plan import Choice, Plan
    from feedbench.bench.record import Trial
    from feedbench.loaders import Manifest


def bench(
    data: Data,
    suite: Annotated[
        str | None,
        typer.Option(
            help="quick, standard, or a TOML file. (default: quick unless --loader is given)"
        ),
    ] = None,
    loader: Loaders = None,
    set_: Sets = None,
    consumer: Annotated[
        str | None,
        typer.Option(
            help="train: the real trainer; emulated:NAME: an accelerator's measured step time, "
            "such as emulated:a100; drain: nothing, the loader alone. (default: train)"
        ),
    ] = None,
    blocks: Annotated[int | None, typer.Option(help="Timed blocks a trial. (default: 5)")] = None,
    block_seconds: Annotated[
        float | None, typer.Option(help="Least length of a block. (default: 4)")
    ] = None,
    warm_up_seconds: Annotated[
        float | None, typer.Option(help="Least warm-up before the first block. (default: 5)")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds that one trial may take in all. (default: 900)")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides how the blocks are interleaved. (default: 0)")
    ] = None,
    cache_state: CacheStateOption = None,
    batch_size: BatchSize = None,
    image_size: ImageSize = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    antialias: Antialias = None,
    orientation: Orientation = None,
    flip: Flip = None,
    augment: Augmentations = None,
    augment_costs: Annotated[
        bool,
        typer.Option(
            "--augment-costs",
            help="Also measure each loader with no augmentation and with each of them alone.",
        ),
    ] = False,
    value_range: Range = None,
    balance: Balance = None,
    alpha: Alpha = None,
    blacklist: Blacklist = None,
    on_error: OnError = None,
    error_budget: ErrorBudget = None,
    pixel_tolerance: Annotated[
        float | None,
        typer.Option(
            help="Levels of 0 to 255 by which a loader's images may differ. (default: 3)", min=0
        ),
    ] = None,
    allow_different_pixels: Annotated[
        bool | None,
        typer.Option(
            "--allow-different-pixels/--same-pixels",
            help="Rank loaders beyond that tolerance too, with a mark. (default: same pixels)",
        ),
    ] = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Measure each loader while it feeds the real trainer, and choose the best."""
    from feedbench.bench.analysis.augment_costs import with_costs
    from feedbench.bench.plan.plan import Suite, make_plan, merged_spec, parse_set
    from feedbench.bench.plan.suites import named_suite
    from feedbench.bench.plan.toml import parse_model

    manifest = listed(data, blacklist).only("train")
    settings = parse_set(set_ or [])
    spec = spec_values(
        batch_size,
        image_size,
        resize,
        interpolation,
        antialias,
        flip,
        orientation,
        augment,
        value_range,
        balance,
    )
    chosen = named_suite(suite, loader, settings, manifest)
    overrides: dict[str, Any] = {
        "spec": merged_spec(TRAINING_SPEC, chosen.spec, spec),
        "recipe": {**chosen.recipe, **given_only({"alpha": alpha})},
        "timing": {
            **chosen.timing.model_dump(exclude_unset=True),
            **given_only(
                {
                    "blocks": blocks,
                    "block_seconds": block_seconds,
                    "warm_up_seconds": warm_up_seconds,
                    "time_limit": time_limit,
                    "seed": seed,
                    "cache_state": cache_state,
                }
            ),
        },
        "failures": {
            **chosen.failures.model_dump(),
            **given_only({"on_error": on_error, "error_budget": error_budget}),
        },
        "pixels": {
            **chosen.pixels.model_dump(),
            **given_only({"tolerance": pixel_tolerance, "allow_different": allow_different_pixels}),
        },
        "consumer": consumer or chosen.consumer,
        "trial": chosen.model_dump()["trial"],
    }
    plan = make_plan(parse_model(Suite, overrides, "options"))
    if augment_costs:
        plan = replace(plan, choices=tuple(with_costs(plan.choices, plan.spec.augment)))
    loaders = [choice.loader for choice in plan.choices]
    manifest, left_out = readable(manifest, loaders, console())
    measure(plan, manifest, result_folder(out, "bench"), json, data, left_out)


def measure(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    json: Path | None,
    data: str,
    left_out: dict[str, int] | None = None,
) -> Path | None:
    """Run a plan, keep and show its results; the best.toml if there is a winner."""
    from feedbench.bench.analysis.best import write_best
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.environment import environment
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import write_json
    from feedbench.bench.pixels.compare import by_choice
    from feedbench.bench.record import read_trials
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.trials.run import run

    terminal, facts = console(), environment()
    write_json(folder / "environment.json", facts)
    interrupted = False
    choices = [choice for choice in plan.choices if choice.augment is None]
    pixels = by_choice(
        same_pixels(choices, plan, manifest, folder, terminal),
        allowed=plan.pixels.allow_different,
    )
    try:
        with bench_progress(terminal) as report:
            run(plan, manifest, folder, report, left_out, pixels)
    except KeyboardInterrupt:
        interrupted = True
    trials = read_trials(folder)
    summary = summarize(trials)
    for path in filter(None, (folder / "summary.json", json)):
        write_json(path, summary.model_dump())
    best = None
    if (winner := summary.winner) is not None:
        rate = summary.trials[winner].images_per_second
        assert rate is not None
        best = write_best(folder, plan, plan.choices[winner], rate, facts)
    show_summary(terminal, trials, summary)
    terminal.print(f"Records: {folder}", highlight=False, soft_wrap=True)
    if interrupted:
        timed = sum(trial.blocks for trial in summary.trials)
        raise InterruptedRun(f"interrupted; {timed} blocks were timed and are in {folder}")
    if best is None:
        raise typer.Exit(NOTHING_DONE)
    terminal.print(f"Next: feedbench train {data} --loader {best}", highlight=False, soft_wrap=True)
    return best


def same_pixels(
    choices: list[Choice], plan: Plan, manifest: Manifest, folder: Path, terminal: Console
) -> Pixels | None:
    """Compare the loaders' pixels on a sample, before any of them is timed."""
    from feedbench.bench.errors import TrialError
    from feedbench.bench.files import write_json
    from feedbench.bench.internal_loaders import is_choice
    from feedbench.bench.pixels.check import check_pixels
    from feedbench.bench.pixels.table import verdict
    from feedbench.bench.trials.run import MANIFEST

    choices = [choice for choice in choices if is_choice(choice.loader)]
    if len(choices) < 2 or not plan.pixels.images:
        return None
    terminal.print("comparing pixels", style="dim")
    manifest.write(folder / MANIFEST)
    try:
        found = check_pixels(
            choices,
            folder / MANIFEST,
            plan.spec,
            folder / "pixels.log",
            images=plan.pixels.images,
            tolerance=plan.pixels.tolerance,
            on_error=plan.failures.on_error,
            limit_s=plan.timing.time_limit,
        )
    except TrialError as error:
        terminal.print(f"Pixels were not compared: {error}", style="red", highlight=False)
        return None
    write_json(folder / "pixels.json", found.model_dump())
    terminal.print(verdict(found), highlight=False)
    return found


def show_summary(terminal: Console, trials: list[Trial], summary: Summary) -> None:
    """Print the table of a bench, what augmentations cost, and the verdict."""
    from feedbench.bench.analysis.augment_costs import costs
    from feedbench.bench.report.table import headline, table, verdict

    terminal.print(headline(trials), highlight=False)
    terminal.print(table(summary))
    for cost in costs(trials):
        terminal.print(str(cost), highlight=False, markup=False, soft_wrap=True)
    terminal.print(verdict(summary), style="bold", highlight=False)
