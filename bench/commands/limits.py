"""limits: what the machine could do on these photographs, and how near each loader comes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import (
    BatchSize,
    Blacklist,
    Data,
    ImageSize,
    Interpolation,
    Json,
    Loaders,
    Out,
    Resize,
    Sets,
    listed,
    readable,
    spec_values,
)
from feedbench.bench.commands.output import NOTHING_DONE, console, result_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from feedbench.bench.limits.limits import Limits, LimitsRecord
    from feedbench.bench.plan.plan import Choice, Plan
    from feedbench.bench.record import Trial
    from feedbench.loaders import Manifest

_WARM_UP_S = 2.0


def limits(
    data: Data,
    loader: Loaders = None,
    set_: Sets = None,
    batch_size: BatchSize = None,
    image_size: ImageSize = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    blocks: Annotated[int, typer.Option(help="Timed blocks of each.", min=1)] = 5,
    block_seconds: Annotated[float, typer.Option(help="Least length of a block.")] = 2.0,
    blacklist: Blacklist = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Measure decoding, copying and the disk alone, and each loader's share of its limit."""
    from feedbench.bench.errors import PlanError
    from feedbench.bench.limits.limits import limits_plan
    from feedbench.bench.plan.plan import expand, parse_set
    from feedbench.bench.plan.suites import limits_suite
    from feedbench.loaders import find_loader

    for name in loader or ():
        if not find_loader(name).is_choice:
            raise PlanError(f"--loader {name}: it makes its images up; it has no limit")
    manifest = listed(data, blacklist).only("train")
    choices = expand(limits_suite(loader, parse_set(set_ or []), manifest).trial)
    spec = spec_values(batch_size, image_size, resize, interpolation, None, None)
    timing = {"blocks": blocks, "block_seconds": block_seconds, "warm_up_seconds": _WARM_UP_S}
    plan = limits_plan(choices, spec, timing)
    manifest, left_out = readable(manifest, [choice.loader for choice in choices], console())
    _measure(plan, choices, manifest, left_out, result_folder(out, "limits"), json)


def _measure(
    plan: Plan,
    choices: Sequence[Choice],
    manifest: Manifest,
    left_out: dict[str, int],
    folder: Path,
    json: Path | None,
) -> None:
    from feedbench.bench.environment import environment
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import write_json, write_model
    from feedbench.bench.limits.limits import RECORD, LimitsRecord, limit_of, read_cold
    from feedbench.bench.record import read_trials
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.trials.run import run

    terminal, interrupted = console(), False
    write_json(folder / "environment.json", environment())
    record = LimitsRecord(bounds={str(choice): str(limit_of(choice)) for choice in choices})
    try:
        with bench_progress(terminal) as report:
            run(plan, manifest, folder, report, left_out)
        terminal.print("reading from the disk", style="dim")
        record.disk = read_cold(manifest)
    except KeyboardInterrupt:
        interrupted = True
    write_model(folder / RECORD, record)
    show_limits(terminal, read_trials(folder), record, folder, json)
    terminal.print(f"Records: {folder}", highlight=False, soft_wrap=True)
    if interrupted:
        raise InterruptedRun(f"interrupted; the blocks that were timed are in {folder}")


def show_limits(
    terminal: Console,
    trials: list[Trial],
    record: LimitsRecord,
    folder: Path,
    json: Path | None,
) -> None:
    """Derive, keep and print."""
    from feedbench.bench.files import write_json
    from feedbench.bench.limits.limits import derive

    found = derive(trials, record)
    for path in filter(None, (folder / "limits.json", json)):
        write_json(path, found.model_dump())
    print_limits(terminal, trials, found)
    if not any(one.images_per_second for one in found.loaders):
        raise typer.Exit(NOTHING_DONE)


def print_limits(terminal: Console, trials: list[Trial], found: Limits) -> None:
    """Print the limits, and the share of them that each loader reaches."""
    from feedbench.bench.limits.table import limits_table, shares_table
    from feedbench.bench.report.table import headline

    terminal.print(headline(trials), highlight=False)
    terminal.print(limits_table(found))
    terminal.print(shares_table(found))
