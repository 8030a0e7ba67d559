"""quickstart: the main job on generated photographs."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.commands.data import make_data
from bench.commands.measure import measure
from bench.commands.options import TRAINING_SPEC, Out
from bench.commands.output import console, result_folder
from bench.commands.training import run_training


def quickstart(
    out: Out = None,
    images: Annotated[int, typer.Option(help="Photographs to generate.", min=100)] = 600,
) -> None:
    """The main job on generated photographs: make data, bench, train with the winner."""
    from bench.choose import read_best
    from bench.plan import Suite, Timing, make_plan
    from bench.record import new_folder
    from bench.suites import QUICK
    from loaders import scan as scan_source
    from trainer import Recipe

    folder = result_folder(out, "quickstart")
    terminal, photos = console(), folder / "photos"
    terminal.print("[bold]1. Generated photographs[/]")
    make_data(photos, images=images)
    terminal.print(
        "[bold]2. Which loader feeds the trainer fastest?[/] A small network and small "
        "images, so that two cores are enough."
    )
    suite = Suite(
        timing=Timing(block_seconds=2, warm_up_seconds=4),
        recipe={"alpha": 0.35, "epochs": 4},
        spec={**TRAINING_SPEC, "batch_size": 32, "image_size": 96},
        trial=list(QUICK),
    )
    manifest = scan_source(photos)
    best = measure(
        make_plan(suite),
        manifest.only("train"),
        new_folder(folder / "bench"),
        None,
        str(photos),
    )
    terminal.print("[bold]3. The training with the winner[/]")
    assert best is not None
    chosen = read_best(best)
    run_training(
        chosen,
        Recipe.model_validate(chosen.recipe),
        manifest,
        new_folder(folder / "training"),
        None,
    )
