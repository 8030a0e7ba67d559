"""Trains, keeps and prints how it goes and how it ended; for several commands."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from feedbench.bench.commands.output import console, libraries_to

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from feedbench.bench.analysis.best import Best
    from feedbench.bench.plan.plan import Failures
    from feedbench.bench.training.train import Keep
    from feedbench.loaders import Manifest
    from feedbench.trainer import Recipe


def resume_command(data: str, folder: Path, options: dict[str, Any]) -> str:
    """The command that resumes a training, with the options that its folder does not keep."""
    words = ["feedbench", "train", data, "--resume", str(folder)]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def run_training(
    best: Best,
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    json: Path | None,
    failures: Failures | None = None,
    keep: Keep | None = None,
    *,
    resume: bool = False,
    again: str | None = None,
) -> None:
    """Train, show how it goes and how it ended."""
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import write_json
    from feedbench.bench.plan.plan import Failures
    from feedbench.bench.signals import stop_on_sigterm
    from feedbench.bench.training.progress import train_progress
    from feedbench.bench.training.train import train as train_with
    from feedbench.loaders import images_per_epoch, parse_spec, printable
    from feedbench.trainer.fit import TrainingStopped
    from feedbench.trainer.weights import warnings as weights_warnings

    terminal = console()
    manifest.only("validation")
    spec = parse_spec(best.spec)
    each = images_per_epoch(manifest.only("train"), spec).tolist()
    counts = dict(zip(map(printable, manifest.classes), each, strict=True))
    images = sum(each)
    notes = recipe.warnings(spec.batch_size, images)
    if not resume:
        notes += weights_warnings(recipe, spec.value_range, spec.scale, spec.offset)
    for line in notes:
        terminal.print(f"Note: {line}", highlight=False, soft_wrap=True)
    if spec.balance:
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        terminal.print(f"An epoch's images: {told}", highlight=False, soft_wrap=True, markup=False)
    go_on = again or resume_command("DATA", folder, {})
    try:
        with (
            stop_on_sigterm() as stop,
            train_progress(terminal, images * recipe.epochs, recipe.epochs, stop) as watch,
            libraries_to(folder / "train.log"),
        ):
            result = train_with(
                best,
                recipe,
                manifest,
                folder,
                watch=watch,
                keep=keep,
                resume=resume,
                failures=failures or Failures(),
            )
    except TrainingStopped:
        terminal.print(f"Stopped and kept. Go on: {go_on}", highlight=False, soft_wrap=True)
        return
    except KeyboardInterrupt:
        raise InterruptedRun(f"interrupted; go on from the checkpoint: {go_on}") from None
    if json is not None:
        write_json(json, result)
    show_training(terminal, result, folder)


def show_training(terminal: Console, result: dict[str, Any], folder: Path) -> None:
    """Print how a training ended."""
    from rich.table import Table

    from feedbench.bench.training.folder import TRAINING

    if result["per_class"]:
        shown = Table("class", "test images", "recall", "precision")
        for line in result["per_class"]:
            shares = (line["recall"], line["precision"])
            told = ("–" if share is None else f"{share:.1%}" for share in shares)
            shown.add_row(line["name"], f"{line['images']:,}", *told)
        terminal.print(shown)
    if result["test"] is not None:
        images = sum(line["images"] for line in result["per_class"])
        of = f" of {images:,} images" if images else ""
        terminal.print(f"Test accuracy: {result['test']['accuracy']:.1%}{of}", highlight=False)
    if lost := result["dropped"]:
        text = f"{len(lost)} files failed and were passed over, as {TRAINING} tells; the first: "
        terminal.print(f"{text}{lost[0]['path']}", highlight=False, markup=False, soft_wrap=True)
    terminal.print(result["promise"]["text"], style="bold", highlight=False)
    terminal.print(f"Model and history: {folder}", highlight=False, soft_wrap=True)
