"""tune: search the best loader and settings within a budget of time."""

from __future__ import annotations

import re
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.options import (
    TRAINING_SPEC,
    Alpha,
    BatchSize,
    Blacklist,
    Data,
    Flip,
    ImageSize,
    Interpolation,
    Json,
    Loaders,
    Out,
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

    from feedbench.bench.plan.plan import Choice, Plan
    from feedbench.loaders import Manifest

_BLOCK_SECONDS, _WARM_UP_SECONDS = 0.75, 2.0  # a search is judged by pairs, not by long blocks
_UNITS = {"s": 1, "m": 60, "h": 3600}


def tune(
    data: Data,
    loader: Loaders = None,
    set_: Sets = None,
    consumer: Annotated[
        str | None,
        typer.Option(
            help="train: the real trainer; emulated:NAME; or drain: the loader alone. "
            "(default: train)"
        ),
    ] = None,
    budget: Annotated[str, typer.Option(help="Time for the search: 90s, 5m, 1h.")] = "10m",
    max_memory: Annotated[
        float | None,
        typer.Option(help="GB that the process tree of a choice may take, trainer included."),
    ] = None,
    max_cores: Annotated[
        int | None, typer.Option(help="Processors that everything runs on.", min=1)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Decides in which order a round's blocks are timed.", min=0)
    ] = 0,
    batch_size: BatchSize = None,
    image_size: ImageSize = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    flip: Flip = None,
    alpha: Alpha = None,
    blacklist: Blacklist = None,
    allow_different_pixels: Annotated[
        bool,
        typer.Option(
            "--allow-different-pixels/--same-pixels",
            help="Whether a choice with other pixels than the first loader's may win.",
        ),
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the search of this folder.")
    ] = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Search loaders and settings by races on paired blocks; the best so far is always kept."""
    from feedbench.bench.environment import conditions, restrict_cores
    from feedbench.bench.plan.plan import Suite, make_plan, merged_spec, parse_set
    from feedbench.bench.plan.toml import parse_model
    from feedbench.bench.tune.tune import Limits, read_tune

    seconds = _seconds(budget)
    if max_cores is not None:
        restrict_cores(max_cores)
    terminal = console()
    manifest = listed(data, blacklist).only("train")
    spec = spec_values(batch_size, image_size, resize, interpolation, None, flip)
    settings = parse_set(set_ or [])
    names = loader or _default_loaders(manifest, settings)
    values: dict[str, Any] = {
        "spec": merged_spec(TRAINING_SPEC, spec),
        "recipe": given_only({"alpha": alpha}),
        "timing": {
            "block_seconds": _BLOCK_SECONDS,
            "warm_up_seconds": _WARM_UP_SECONDS,
            "seed": seed,
        },
        "pixels": {"allow_different": allow_different_pixels},
        "consumer": consumer or "train",
        "trial": [{"loader": name, "settings": settings.pop(name, {})} for name in names],
    }
    for name in settings:
        from feedbench.bench.errors import PlanError

        raise PlanError(f"--set {name}.…: {name} is not searched; name it by --loader too")
    suite = parse_model(Suite, values, "options")
    plan = make_plan(suite)
    manifest, _ = readable(manifest, names, terminal)
    earlier = read_tune(resume, plan, conditions(manifest)) if resume else (None, [])
    folder = resume or result_folder(out, "tune")
    limits = Limits(seconds, None if max_memory is None else int(max_memory * 1e9))
    _search(plan, list(suite.trial), manifest, folder, limits, earlier, terminal, json, data)


def _default_loaders(manifest: Manifest, settings: dict[str, dict[str, Any]]) -> list[str]:
    """All that can read the source; what needs a setting only if it is given."""
    from feedbench.bench.plan.suites import able_loaders

    names = [loader.name for loader in able_loaders(manifest)]
    return [*names, *(name for name in settings if name not in names)]


def _search(
    plan: Plan,
    defaults: list[Choice],
    manifest: Manifest,
    folder: Path,
    limits: Any,
    earlier: Any,
    terminal: Console,
    json: Path | None,
    data: str,
) -> None:
    from feedbench.bench.analysis.best import write_best
    from feedbench.bench.commands.bench import same_pixels
    from feedbench.bench.environment import environment
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import read_model, write_json
    from feedbench.bench.report.progress import bench_progress
    from feedbench.bench.tune.table import WORTH, draw_worth, line, verdict, worth
    from feedbench.bench.tune.tune import TUNE, Found, Tune, pixel_choices, runners_up

    begun, facts = monotonic(), environment()
    write_json(folder / "environment.json", facts)
    checked = pixel_choices(defaults)
    pixels = same_pixels(checked, plan, manifest, folder, terminal)

    def told(finding: Any) -> None:
        terminal.print(line(finding), highlight=False, markup=False, soft_wrap=True)

    interrupted = False
    with bench_progress(terminal) as report:
        search = Tune(plan, manifest, folder, limits, pixels, report, told, earlier[1], begun)
        try:
            search.run(defaults, earlier[0])
        except KeyboardInterrupt:
            interrupted = True
    found = read_model(folder / TUNE, Found, "tune")
    best = None
    if found.best is not None and (rate := found.images_per_second) is not None:
        best = write_best(folder, plan, found.best, rate, facts, runners_up(found))
    if json is not None:
        write_json(json, found.model_dump(mode="json"))
    if found.findings:
        draw_worth(found, folder / WORTH)
        terminal.print(worth(found))
    terminal.print(verdict(found), style="bold", highlight=False, soft_wrap=True)
    if interrupted:
        raise InterruptedRun(
            f"interrupted; the best so far is in {folder}; go on by --resume {folder}"
        )
    if best is None:
        raise typer.Exit(NOTHING_DONE)
    terminal.print(f"Next: feedbench train {data} --loader {best}", highlight=False, soft_wrap=True)


def _seconds(text: str) -> float:
    """`90s`, `5m` or `1h` in seconds.

    Raises:
        PlanError: it is none of these.
    """
    from feedbench.bench.errors import PlanError

    said = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if said is None or not float(said[1]):
        raise PlanError(f"--budget {text}: must be a time such as 90s, 5m or 1h")
    return float(said[1]) * _UNITS[said[2]]
