"""Trains and prints progress and results, for several commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from feedbench.bench.commands.output import console, redirect_library_output

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from feedbench.bench.analysis.best import Best
    from feedbench.bench.training.callbacks import Callbacks
    from feedbench.bench.training.options import TrainingOptions
    from feedbench.loaders import BatchSpec, Manifest
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
    options: TrainingOptions | None = None,
    *,
    again: str | None = None,
) -> None:
    """Train, and print notes, progress and results.

    Args:
        again: the command that resumes this training.
    """
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import write_json
    from feedbench.bench.training.options import TrainingOptions
    from feedbench.bench.training.train import train
    from feedbench.loaders import images_per_epoch, parse_spec
    from feedbench.trainer import CHECKPOINT, TrainingStopped

    terminal, options = console(), options or TrainingOptions()
    manifest.only("validation")
    spec = parse_spec(best.spec)
    counts = images_per_epoch(manifest.only("train"), spec).tolist()
    _print_notes(terminal, recipe, spec, manifest.classes, counts, resume=options.resume)
    again = again or resume_command("DATA", folder, {})
    try:
        with _callbacks(terminal, recipe.epochs, sum(counts), folder) as callbacks:
            result = train(best, recipe, manifest, folder, callbacks=callbacks, options=options)
    except TrainingStopped:
        terminal.print(
            f"Stopped; a checkpoint is saved. To resume: {again}", highlight=False, soft_wrap=True
        )
        return
    except KeyboardInterrupt:
        if not (folder / CHECKPOINT).exists():
            raise InterruptedRun("interrupted before the first checkpoint; start again") from None
        raise InterruptedRun(f"interrupted; to resume from the last checkpoint: {again}") from None
    if json is not None:
        write_json(json, result)
    show_training(terminal, result, folder)


def _print_notes(
    terminal: Console,
    recipe: Recipe,
    spec: BatchSpec,
    classes: Sequence[str],
    counts: Sequence[int],
    *,
    resume: bool,
) -> None:
    """Print warnings about the recipe, and the images per class if they are balanced.

    Args:
        counts: images of each class in an epoch.
    """
    from feedbench.loaders import printable
    from feedbench.trainer import weights_warnings

    notes = recipe.warnings(spec.batch_size, sum(counts))
    if not resume:
        notes += weights_warnings(recipe, spec.value_range, spec.scale, spec.offset)
    for line in notes:
        terminal.print(f"Note: {line}", highlight=False, soft_wrap=True)
    if spec.balance:
        names = map(printable, classes)
        text = ", ".join(f"{count:,} {name}" for name, count in zip(names, counts, strict=True))
        terminal.print(f"Images per epoch: {text}", highlight=False, soft_wrap=True, markup=False)


@contextmanager
def _callbacks(terminal: Console, epochs: int, images: int, folder: Path) -> Iterator[Callbacks]:
    """Yield callbacks that print progress and stop on SIGTERM or SIGHUP.

    What the libraries print goes to a log.

    Args:
        images: images in an epoch.
    """
    from feedbench.bench.signals import stop_on_termination
    from feedbench.bench.training.progress import train_progress

    with (
        stop_on_termination() as should_stop,
        train_progress(terminal, images * epochs, epochs, should_stop) as callbacks,
        redirect_library_output(folder / "train.log"),
    ):
        yield callbacks


def show_training(terminal: Console, result: dict[str, Any], folder: Path) -> None:
    """Print the results of a training.

    Args:
        result: the contents of training.json.
    """
    from rich.table import Table

    from feedbench.bench.training.folder import TRAINING

    if result["per_class"]:
        table = Table("class", "test images", "recall", "precision")
        for line in result["per_class"]:
            metrics = (line["recall"], line["precision"])
            cells = ("–" if value is None else f"{value:.1%}" for value in metrics)
            table.add_row(line["name"], f"{line['images']:,}", *cells)
        terminal.print(table)
    if result["test"] is not None:
        images = sum(line["images"] for line in result["per_class"])
        of_images = f" of {images:,} images" if images else ""
        accuracy = f"{result['test']['accuracy']:.1%}"
        terminal.print(f"Test accuracy: {accuracy}{of_images}", highlight=False)
    if dropped := result["dropped"]:
        terminal.print(
            f"Unreadable files skipped: {len(dropped)}, listed in {TRAINING}; the first is "
            f"{dropped[0]['path']}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    terminal.print(result["promise"]["text"], style="bold", highlight=False)
    terminal.print(f"Model and history: {folder}", highlight=False, soft_wrap=True)
