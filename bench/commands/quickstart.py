"""quickstart: measures, diagnoses and trains on generated photos."""

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

EMULATED = "a100"  # so fast that loaders differ even on two cores
_SMALL = {"batch_size": 32, "image_size": 96}  # together with alpha 0.35: enough for two cores


def quickstart(
    out: Out = None,
    images: Annotated[int, typer.Option(help="Number of photos to generate.", min=100)] = 600,
) -> None:
    """Takes about eight minutes on two CPU cores."""
    from feedbench.bench.files import new_folder
    from feedbench.bench.meters.gpu import find_gpus
    from feedbench.loaders import scan as scan_source
    from feedbench.trainer import Recipe

    folder = result_folder(out, "quickstart")
    terminal, photos = console(), folder / "photos"
    terminal.print("1. Generate photos", style="bold")
    generate_photos(photos, images=images)
    manifest = scan_source(photos)
    train_rows = manifest.only("train")
    terminal.print("2. Which loader feeds the trainer fastest?", style="bold")
    terminal.print("The network and the images are small, so that two cores are enough.")
    best = _bench(train_rows, new_folder(folder / "bench"), str(photos))
    terminal.print("3. Where does the time go?", style="bold")
    _diagnose(best, train_rows, new_folder(folder / "diagnosis"))
    number = 4
    if not find_gpus():
        terminal.print(f"4. And on an {EMULATED.upper()}?", style="bold")
        terminal.print("Emulated from its published training rate; no GPU is used.")
        _bench_emulated(train_rows, new_folder(folder / EMULATED), str(photos))
        number = 5
    terminal.print(f"{number}. Train with the winner", style="bold")
    recipe = Recipe.model_validate(best.recipe)
    run_training(best, recipe, manifest, new_folder(folder / "training"), None)


def _bench(manifest: Manifest, folder: Path, data: str) -> Best:
    """Compare the loaders with the real trainer, and return the winner."""
    from feedbench.bench.analysis.best import read_best
    from feedbench.bench.plan.plan import Suite, Timing, make_plan
    from feedbench.bench.plan.suites import built_in_trials

    suite = Suite(
        timing=Timing(block_seconds=2, warm_up_seconds=4),
        recipe={"alpha": 0.35, "epochs": 4},
        spec={**TRAINING_SPEC, **_SMALL},
        trial=list(built_in_trials("quick", manifest)),
    )
    return read_best(measure(make_plan(suite), manifest, folder, None, data))


def _diagnose(chosen: Best, manifest: Manifest, folder: Path) -> None:
    """Diagnose the winner with the trainer that it was measured with, in few rounds."""
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


def _bench_emulated(manifest: Manifest, folder: Path, data: str) -> None:
    """Compare the same loaders with an emulated accelerator, for which they differ."""
    from feedbench.bench.plan.accelerators import find_accelerator
    from feedbench.bench.plan.plan import Suite, Timing, make_plan
    from feedbench.bench.plan.suites import built_in_trials

    accelerator = find_accelerator(EMULATED)
    suite = Suite(
        consumer=f"emulated:{EMULATED}",
        timing=Timing(blocks=3, block_seconds=2, warm_up_seconds=1),
        spec={
            **TRAINING_SPEC,
            "batch_size": 64,
            "image_size": accelerator.image_size,
        },
        trial=list(built_in_trials("quick", manifest)),
    )
    measure(make_plan(suite), manifest, folder, None, data)
