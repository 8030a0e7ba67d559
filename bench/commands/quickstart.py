"""quickstart: the main job on generated photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.generate_photos import generate_photos
from feedbench.bench.commands.options import TRAINING_SPEC, Out
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.run_bench import measure
from feedbench.bench.commands.run_diagnosis import run_diagnosis
from feedbench.bench.commands.run_training import run_training

if TYPE_CHECKING:
    from feedbench.bench.analysis.best import Best
    from feedbench.loaders import Manifest

EMULATED = "a100"  # fast enough for loaders to differ on two cores


def quickstart(
    out: Out = None,
    images: Annotated[int, typer.Option(help="Number of photos to generate.", min=100)] = 600,
) -> None:
    """Takes about eight minutes on two CPU cores."""
    from feedbench.bench.analysis.best import read_best
    from feedbench.bench.files import new_folder
    from feedbench.bench.meters.gpu import find_gpus
    from feedbench.bench.plan.plan import Suite, Timing, make_plan
    from feedbench.bench.plan.suites import built_in
    from feedbench.loaders import scan as scan_source
    from feedbench.trainer import Recipe

    folder = result_folder(out, "quickstart")
    terminal, photos = console(), folder / "photos"
    terminal.print("[bold]1. Generated photographs[/]")
    generate_photos(photos, images=images)
    terminal.print(
        "[bold]2. Which loader feeds the trainer fastest?[/] A small network and small "
        "images, so that two cores are enough."
    )
    manifest = scan_source(photos)
    suite = Suite(
        timing=Timing(block_seconds=2, warm_up_seconds=4),
        recipe={"alpha": 0.35, "epochs": 4},
        spec={**TRAINING_SPEC, "batch_size": 32, "image_size": 96},
        trial=list(built_in("quick", manifest)),
    )
    best = measure(
        make_plan(suite),
        manifest.only("train"),
        new_folder(folder / "bench"),
        None,
        str(photos),
    )
    assert best is not None
    chosen = read_best(best)
    terminal.print("[bold]3. Where does the time go?[/]")
    _diagnose(chosen, manifest.only("train"), new_folder(folder / "diagnosis"))
    number = 4
    if not find_gpus():
        terminal.print(f"[bold]4. And on a {EMULATED.upper()}?[/] Its measured step time, no GPU.")
        _emulated(manifest.only("train"), new_folder(folder / EMULATED), str(photos))
        number = 5
    terminal.print(f"[bold]{number}. The training with the winner[/]")
    run_training(
        chosen,
        Recipe.model_validate(chosen.recipe),
        manifest,
        new_folder(folder / "training"),
        None,
    )


def _diagnose(chosen: Best, manifest: Manifest, folder: Path) -> None:
    """The winner with the trainer that it was chosen for, in short."""
    from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
    from feedbench.bench.plan.plan import Choice
    from feedbench.loaders import BatchSpec
    from feedbench.trainer import Recipe

    plan = DiagnosisPlan(
        choice=Choice(loader=chosen.loader, settings=chosen.settings),
        spec=BatchSpec.model_validate(chosen.spec),
        recipe=Recipe.model_validate(chosen.recipe),
        consumer="train",
        accelerator=None,
    )
    run_diagnosis(plan, manifest, folder, DiagnosisTiming(rounds=3), None)


def _emulated(manifest: Manifest, folder: Path, data: str) -> None:
    """The same loaders before an accelerator that this machine has not, where they differ."""
    from feedbench.bench.plan.accelerators import find_accelerator
    from feedbench.bench.plan.plan import Suite, Timing, make_plan
    from feedbench.bench.plan.suites import built_in

    known = find_accelerator(EMULATED)
    suite = Suite(
        consumer=f"emulated:{EMULATED}",
        timing=Timing(blocks=3, block_seconds=2, warm_up_seconds=1),
        spec={
            **TRAINING_SPEC,
            "batch_size": 64,
            "image_size": known.image_size,
        },
        trial=list(built_in("quick", manifest)),
    )
    measure(make_plan(suite), manifest, folder, None, data)
