"""Trains and prints progress and results, for several commands."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from feedbench.bench.commands.ending import Ending
from feedbench.bench.commands.next_step import after_training
from feedbench.bench.commands.output import console, print_parts, redirect_library_output

if TYPE_CHECKING:
    from pathlib import Path

    from feedbench.bench.analysis.best import Best
    from feedbench.bench.report.terminal import Terminal
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
    from feedbench.bench.files import write_json
    from feedbench.bench.training.folder import claimed, removed_if_refused
    from feedbench.bench.training.options import TrainingOptions

    options = options or TrainingOptions()
    again = again or resume_command("DATA", folder, {})
    keeps = Ending(folder, again, options.cluster, options.resume).keeps_folder
    with claimed(folder), nullcontext() if keeps else removed_if_refused(folder):
        result = train_with_progress(best, recipe, manifest, folder, options, again)
    if result is None:
        return
    if json is not None:
        write_json(json, result)
    show_training(console(), result, folder)


def train_with_progress(
    best: Best,
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    options: TrainingOptions,
    again: str,
) -> dict[str, Any] | None:
    """Train with notes and progress, and return the contents of training.json.

    Args:
        again: the command that resumes this training.

    Returns:
        None if SIGTERM or SIGHUP stopped it, and on a worker that is not the chief.

    Raises:
        InterruptedRun: Ctrl-C; the last checkpoint is saved.
        PeerLost: another worker has ended.
    """
    from feedbench.bench.errors import InterruptedRun, PeerLost
    from feedbench.bench.training.train import train
    from feedbench.bench.trials.child import child_environment
    from feedbench.loaders import images_per_epoch, parse_spec
    from feedbench.trainer import TrainingStopped

    terminal = console()
    ending = Ending(folder, again, options.cluster, options.resume)
    options = replace(options, end_at_once=partial(ending.at_once, os.dup(2)))
    os.environ.update(child_environment())  # before TensorFlow is imported
    manifest.only("validation")
    spec = parse_spec(best.spec)
    counts = images_per_epoch(manifest.only("train"), spec).tolist()
    last_words = ending.interrupted_if_stuck()
    try:
        with _callbacks(best, recipe, sum(counts), folder, last_words, options) as callbacks:
            import_tensorflow()
            for note in _notes(recipe, spec, manifest.classes, counts, resume=options.resume):
                callbacks.on_note(note)
            result = train(best, recipe, manifest, folder, callbacks=callbacks, options=options)
        if result is None:
            terminal.print("Trained; the chief writes the model and the record.")
        return result
    except PeerLost as error:
        raise PeerLost(ending.lost(str(error), error.code), error.code) from error
    except TrainingStopped:
        terminal.print(ending.stopped(), soft_wrap=True)
        return None
    except KeyboardInterrupt:
        raise InterruptedRun(ending.interrupted()) from None


def import_tensorflow() -> None:
    """Import TensorFlow.

    Raises:
        PlanError: it cannot be loaded.
    """
    from feedbench.bench.errors import PlanError

    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        cause: BaseException = error
        while cause.__context__ is not None:  # its own text is a traceback
            cause = cause.__context__
        raise PlanError(
            f"TensorFlow cannot be loaded: {str(cause).splitlines()[0]}; install it again, or free "
            "some memory"
        ) from error


def _notes(
    recipe: Recipe,
    spec: BatchSpec,
    classes: Sequence[str],
    counts: Sequence[int],
    *,
    resume: bool,
) -> list[str]:
    """Return warnings about the recipe, and the images per class if they are balanced.

    Args:
        counts: images of each class in an epoch.
    """
    from feedbench.bench.training.outcome import counts_sentence
    from feedbench.loaders import printable
    from feedbench.trainer import weights_warnings

    notes = recipe.warnings(spec.batch_size, sum(counts))
    if len(classes) == 1:
        notes.append(
            f"there is one class only, {printable(classes[0])}: every prediction is right, and the "
            "network learns nothing"
        )
    if not resume:
        notes += weights_warnings(recipe, spec.value_range, spec.scale, spec.offset)
    if spec.balance:
        by_class = counts_sentence(dict(zip(classes, counts, strict=True)))
        notes.append(f"images per epoch: {by_class}")
    return notes


@contextmanager
def _callbacks(
    best: Best, recipe: Recipe, images: int, folder: Path, last_words: str, options: TrainingOptions
) -> Iterator[Callbacks]:
    """Yield callbacks that print progress and stop on SIGTERM or SIGHUP.

    What the libraries print goes to a log. A user's function that hangs is reported.

    Args:
        images: images in an epoch.
        last_words: the line to print if the training does not end although it is asked to.
        options: of the training; they have whom to tell in that case.
    """
    from feedbench.bench.consumers.own_model import model_digest
    from feedbench.bench.environment import environment
    from feedbench.bench.signals import stop_on_termination
    from feedbench.bench.training.folder import LOG
    from feedbench.bench.training.progress import train_progress
    from feedbench.bench.training.rate_check import Basis, applicable_rate
    from feedbench.bench.training.stuck import ended_if_stuck
    from feedbench.bench.training.watch import hangs_told
    from feedbench.loaders import find_loader

    model = model_digest(recipe) if recipe.own_model else None
    basis = Basis(environment(), model, options.rows)
    machines = 1 if options.cluster is None else options.cluster.workers
    predicted_at = partial(applicable_rate, best, recipe, basis, machines=machines)

    with (
        stop_on_termination() as is_asked,
        ended_if_stuck(is_asked, last_words, lambda why: options.farewell.tell(why)) as should_stop,
        redirect_library_output(folder / LOG) as progress,
        train_progress(progress, images, recipe.epochs, should_stop, predicted_at) as callbacks,
        hangs_told(callbacks.on_note, folder / LOG)
        if find_loader(best.loader).own
        else nullcontext(),
    ):
        yield callbacks


def show_training(terminal: Terminal, result: dict[str, Any], folder: Path) -> None:
    """Print the results of a training.

    Args:
        result: the contents of training.json.
    """
    from feedbench.bench.training.table import parts

    print_parts(terminal, parts(result))
    terminal.print(f"Model and history: {folder}", highlight=False, soft_wrap=True)
    terminal.print(after_training(folder), soft_wrap=True)


def print_outcome(terminal: Terminal, result: dict[str, Any]) -> None:
    """Print the test accuracy, the files that were skipped, and the rate check."""
    from feedbench.bench.training.table import outcome

    print_parts(terminal, outcome(result))
