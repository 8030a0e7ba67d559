"""The full training with one loader; its rate is compared with the one that the bench predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.analysis.best import Best
from feedbench.bench.consumers.own_batches import check_for_network, for_network, range_note
from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.files import write_json
from feedbench.bench.plan.plan import Failures
from feedbench.bench.record import dropped_by
from feedbench.bench.training.callbacks import Callbacks, combine
from feedbench.bench.training.dropped import DroppedLog, read_dropped
from feedbench.bench.training.evaluation import HeldOut
from feedbench.bench.training.folder import (
    CLASSES,
    DIVERGED,
    changed_model,
    check_disk_space,
    check_same_run,
    run_identity,
    write_config,
)
from feedbench.bench.training.options import TrainingOptions
from feedbench.bench.training.originals import check_same_files, record_images
from feedbench.bench.training.reread import reread_notes
from feedbench.bench.training.results import write_results
from feedbench.bench.training.setup import TrainingSetup, make_setup
from feedbench.bench.training.tensorboard import tensorboard
from feedbench.loaders import Batch, Manifest, Stream, open_loader
from feedbench.trainer import Recipe, Replicas, divide_cpu, find_replicas, leave_gpu_to_backend

if TYPE_CHECKING:
    from feedbench.trainer import CheckpointPolicy, Epoch, Position, TrainerBase

_DEFAULT_CALLBACKS = Callbacks()
_DEFAULT_OPTIONS = TrainingOptions()


def train(
    best: Best,
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    *,
    callbacks: Callbacks = _DEFAULT_CALLBACKS,
    options: TrainingOptions = _DEFAULT_OPTIONS,
) -> dict[str, Any]:
    """Train to the last epoch, then test the model.

    The folder gets the history, the checkpoint, the models, the predictions of the test images,
    plots, `MODEL_CARD.md` and `training.json`.

    Returns:
        The contents of `training.json`.

    Raises:
        LoaderError: an image cannot be read, or a setting is not valid.
        PlanError: the network refuses the recipe, or there are fewer images than a batch holds.
        RecordError: the disk is too full, or the checkpoint belongs to another training.
        TrainerError: the weights do not fit, the loss is not finite, or the disk is full.
        TrainingStopped: `callbacks.should_stop` returned True; the checkpoint has the position.
    """
    divide_cpu(best.devices)
    leave_gpu_to_backend()
    setup = make_setup(best, recipe, manifest)
    identity = run_identity(best, recipe, setup.train_images)
    saved = _read_saved(folder, identity) if options.resume else None
    if saved is None:
        record_images(folder, setup.train_images)
    else:
        for note in reread_notes(best.loader, saved.position):
            callbacks.on_note(note)
        dropped_rows = [error.row for error in read_dropped(folder)]
        check_same_files(folder, setup.train_images, dropped_rows)
    # Before the trainer: a stream may fork processes, and TensorFlow's threads do not survive that.
    with _open_stream(setup, options.failures, folder, saved) as stream:
        logging = _log_dropped(folder, stream)  # before the first batch may drop any
        setup, batches, first = _with_first(setup, stream)
        held_out = HeldOut(setup, options.failures)
        used = find_replicas(best.devices)
        trainer = _make_trainer(setup, folder, saved, first, used)
        for note in filter(
            None, (_range_note(setup, first), trainer.note, saved.note if saved else "")
        ):
            callbacks.on_note(note)
        if saved is None:
            write_config(folder, best, recipe)
            write_json(folder / CLASSES, list(manifest.classes))
        keeping = _checkpointing(folder, identity, setup, options)
        position = saved.position if saved else None
        every = combine(logging, callbacks)
        epochs = _fit(setup, trainer, held_out, batches, keeping, position, every, options)
        dropped = dropped_by(stream)
    return write_results(setup, trainer, held_out, folder, epochs, dropped, callbacks.should_stop)


class _Saved(NamedTuple):
    """The position and the values of the checkpoint to resume from.

    Attributes:
        note: what has changed since; empty if nothing has.
    """

    position: Position
    values: list[NDArray[Any]]
    note: str


def _read_saved(folder: Path, identity: dict[str, Any]) -> _Saved:
    """Read the folder's checkpoint, and check that it is of this training."""
    from feedbench.trainer import CHECKPOINT, read_checkpoint

    position, values, checkpoint_identity = read_checkpoint(folder / CHECKPOINT)
    check_same_run(folder, identity, checkpoint_identity)
    return _Saved(position, values, changed_model(identity, checkpoint_identity))


def _make_trainer(
    setup: TrainingSetup,
    folder: Path,
    saved: _Saved | None,
    first: Batch | None,
    used: Replicas,
) -> TrainerBase:
    """Return the trainer, as it was when the checkpoint was saved; check that the disk has room."""
    from feedbench.trainer import CHECKPOINT, CheckpointError

    trainer = make_trainer(
        setup.recipe,
        setup.spec,
        setup.train_images,
        setup.image_dtype,
        first=first,
        own=setup.own,
        load_initial_weights=saved is None,
        replicas=used,
    )
    check_disk_space(folder, sum(_size_bytes(variable) for variable in trainer.variables))
    if saved is None:
        return trainer
    try:
        trainer.restore(saved.position.phase, saved.position.phase_steps, saved.values)
    except ValueError as error:
        path = folder / CHECKPOINT
        note = f"; {saved.note}" if saved.note else ""
        raise CheckpointError(f"{path}: it belongs to another network: {error}{note}") from error
    return trainer


def _size_bytes(variable: Any) -> int:
    itemsize: int = np.dtype(variable.dtype).itemsize
    return math.prod(map(int, variable.shape)) * itemsize


def _checkpointing(
    folder: Path, identity: dict[str, Any], setup: TrainingSetup, options: TrainingOptions
) -> CheckpointPolicy:
    """Return the trainer's own form of the checkpoint policy."""
    from feedbench.trainer import CheckpointPolicy

    policy = options.checkpoints
    return CheckpointPolicy(folder, identity, setup.model_metadata, policy.seconds, policy.steps)


def _fit(
    setup: TrainingSetup,
    trainer: TrainerBase,
    held_out: HeldOut,
    batches: Iterator[Batch],
    keeping: CheckpointPolicy,
    start: Position | None,
    callbacks: Callbacks,
    options: TrainingOptions,
) -> list[Epoch]:
    """Train all epochs, and return them."""
    from feedbench.trainer import Position, fit

    folder, position = keeping.folder, start or Position()
    epochs = list(position.history)
    with (
        _tensorboard(folder, options) as tensorboard_callbacks,
        _divergence_explained(setup, folder),
    ):
        every = combine(callbacks, tensorboard_callbacks)
        every.on_start(position)
        for epoch in fit(
            trainer,
            batches,
            length=setup.length,
            validation=lambda: held_out.open("validation"),
            checkpoints=keeping,
            on_step=every.on_step,
            start=position,
            stop=every.should_stop,
        ):
            epochs.append(epoch)
            every.on_epoch(epoch)
    return epochs


def _open_stream(
    setup: TrainingSetup, failures: Failures, folder: Path, saved: _Saved | None
) -> Stream:
    """Open the endless stream of training batches; images that the run has dropped are not read."""
    return open_loader(
        setup.best.loader,
        setup.train_images,
        setup.spec,
        setup.best.settings,
        start_step=saved.position.step if saved else 0,
        dropped=read_dropped(folder) if saved else [],
        **failures.model_dump(),
    )


def _with_first(setup: TrainingSetup, stream: Stream) -> tuple[TrainingSetup, Stream, Batch | None]:
    """Read the first batch if the trainer is prepared for it, and return it.

    Returns:
        The setup and the whole stream as the network takes them, and the first batch if it was
        read.
    """
    own = setup.own
    if own is None and not setup.recipe.own_model:
        return setup, stream, None
    first = next(stream)
    batches: Iterator[Batch] = chain((first,), stream)
    if own is not None and setup.converts:
        dtype = check_for_network(first, setup.spec, len(setup.manifest.classes), own)
        setup, batches = replace(setup, image_dtype=dtype), map(for_network, batches)
    return setup, replace(stream, batches=batches), first


def _range_note(setup: TrainingSetup, first: Batch | None) -> str:
    """Return what is wrong with the values of a user's batches for a built-in network."""
    if setup.own is None or first is None or not setup.converts:
        return ""
    return range_note(first, setup.spec, setup.own)


def _tensorboard(folder: Path, options: TrainingOptions) -> AbstractContextManager[Callbacks]:
    if not options.tensorboard and options.profile is None:
        return nullcontext(Callbacks())
    return tensorboard(folder, options.profile)


def _log_dropped(folder: Path, stream: Stream) -> Callbacks:
    log = DroppedLog(folder, stream)
    return Callbacks(on_step=lambda step: log.update())


@contextmanager
def _divergence_explained(setup: TrainingSetup, folder: Path) -> Iterator[None]:
    """Add the images of the batch to a loss that is not finite, and list them in a file."""
    from feedbench.trainer import DivergedError, NonFiniteLoss

    try:
        yield
    except NonFiniteLoss as error:
        rows = () if error.rows is None else error.rows.tolist()
        images = [setup.train_images.path(row) for row in rows]
        position = {"epoch": error.epoch, "step": error.step, "learning_rate": error.learning_rate}
        write_json(folder / DIVERGED, {**position, "images": images})
        batch = ""
        if images:
            others = f"{len(images) - 1} other images, listed in {folder / DIVERGED}"
            batch = f"; the batch holds {images[0]} and {others}"
        raise DivergedError(
            f"epoch {error.epoch}: {error}{batch}; lower base_learning_rate, or set "
            "gradient_clip_norm"
        ) from error
