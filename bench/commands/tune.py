"""tune: searches for the best loader and settings within a time budget."""

from __future__ import annotations

import re
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options
from feedbench.bench.commands.options import (
    ALLOW_DIFFERENT,
    ALPHA,
    BATCH_SIZE,
    CONSUMER,
    FLIP,
    IMAGE_SIZE,
    INTERPOLATION,
    RESIZE,
    TIMING_SEED,
    Blacklist,
    Data,
    Json,
    Loaders,
    Out,
    RecipeFile,
    Sets,
    list_images,
    parse_set,
    readable_rows,
)
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import chosen_loaders, overlay
from feedbench.bench.commands.run_bench import compare_pixels
from feedbench.bench.errors import NOTHING_DONE, PlanError
from feedbench.bench.plan.plan import Choice, Suite, Timing, make_plan
from feedbench.bench.plan.settings import with_settings
from feedbench.bench.plan.suites import available_loaders
from feedbench.loaders import LOADERS

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.plan.plan import Plan
    from feedbench.bench.tune.record import EarlierSearch
    from feedbench.bench.tune.tune import Budget
    from feedbench.loaders import Manifest

# Short blocks: a search compares paired blocks, of which it takes many.
_TIMING = Timing(block_seconds=0.75, warm_up_seconds=2.0)
_UNITS = {"s": 1, "m": 60, "h": 3600}


@add_options(
    CONSUMER,
    TIMING_SEED,
    BATCH_SIZE,
    IMAGE_SIZE,
    RESIZE,
    INTERPOLATION,
    FLIP,
    ALPHA,
    ALLOW_DIFFERENT,
)
def tune(
    data: Data,
    given: OptionValues,
    loader: Loaders = None,
    set_: Sets = None,
    budget: Annotated[str, typer.Option(help="Time for the search: 90s, 5m, 1h.")] = "10m",
    max_memory: Annotated[
        float | None,
        typer.Option(help="Memory limit in GB of a trial's processes, trainer included."),
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
    """Settings are compared in paired blocks; the best so far is always saved."""
    from feedbench.bench.environment import conditions, restrict_cores
    from feedbench.bench.tune.record import EarlierSearch, read_earlier_search
    from feedbench.bench.tune.tune import Budget

    seconds = _seconds(budget)
    if max_cores is not None:
        restrict_cores(max_cores)
    terminal = console()
    manifest = list_images(data, blacklist).only("train")
    settings = parse_set(set_ or ())
    choices = chosen_loaders(loader) or _default_choices(manifest, settings)
    suite = Suite(trial=with_settings(choices, settings), timing=_TIMING)
    plan = make_plan(overlay(suite, recipe, given))
    manifest, _ = readable_rows(manifest, [choice.loader for choice in suite.trial], terminal)
    earlier = EarlierSearch()
    if resume:
        earlier = read_earlier_search(resume, plan, conditions(manifest))
    folder = resume or result_folder(out, "tune")
    memory = None if max_memory is None else int(max_memory * 1e9)
    limit = Budget(seconds, memory, begin=monotonic())
    _search(plan, suite.trial, manifest, folder, limit, earlier, terminal, json, data)


def _default_choices(manifest: Manifest, settings: dict[str, dict[str, Any]]) -> list[Choice]:
    """Returns all loaders that can read the source; `--set` adds those that need a setting."""
    names = [loader.name for loader in available_loaders(manifest)]
    added = [name for name in settings if name in LOADERS and name not in names]
    return [Choice(loader=name) for name in (*names, *added)]


def _search(
    plan: Plan,
    defaults: list[Choice],
    manifest: Manifest,
    folder: Path,
    budget: Budget,
    earlier: EarlierSearch,
    terminal: Console,
    json: Path | None,
    data: str,
) -> None:
    from feedbench.bench.analysis.best import write_best
    from feedbench.bench.environment import environment
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import read_model, write_json
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.tune.record import TUNE, TuneRecord, runners_up
    from feedbench.bench.tune.space import pixel_choices
    from feedbench.bench.tune.table import (
        WORTH,
        draw_worth,
        finding_line,
        verdict,
        worth_table,
    )
    from feedbench.bench.tune.tune import Tune

    facts = environment()
    write_json(folder / "environment.json", facts)
    checked = pixel_choices(defaults)
    pixels = compare_pixels(checked, plan, manifest, folder, terminal)

    def told(finding: Any) -> None:
        terminal.print(finding_line(finding), highlight=False, markup=False, soft_wrap=True)

    interrupted = False
    with bench_progress(terminal) as report:
        search = Tune(plan, manifest, folder, budget, earlier, pixels, report, told)
        try:
            search.run(defaults)
        except KeyboardInterrupt:
            interrupted = True
    found = read_model(folder / TUNE, TuneRecord, "tune")
    best = None
    if found.best is not None and (rate := found.images_per_second) is not None:
        best = write_best(folder, plan, found.best, rate, facts, runners_up(found))
    if json is not None:
        write_json(json, found.model_dump(mode="json"))
    if found.findings:
        draw_worth(found, folder / WORTH)
        terminal.print(worth_table(found))
    terminal.print(verdict(found), style="bold", highlight=False, soft_wrap=True)
    if interrupted:
        raise InterruptedRun(
            f"interrupted; the best so far is in {folder}; resume with --resume {folder}"
        )
    if best is None:
        raise typer.Exit(NOTHING_DONE)
    terminal.print(f"Next: feedbench train {data} --loader {best}", highlight=False, soft_wrap=True)


def _seconds(text: str) -> float:
    """Convert a time such as `90s`, `5m` or `1h` to seconds.

    Raises:
        PlanError: the text is not a time, or it is zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or not float(match[1]):
        raise PlanError(f"--budget {text}: must be a time such as 90s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2]]
