"""The full training with one loader; its rate is compared with the one that the bench predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.analysis.best import Best
from feedbench.bench.consumers.own_batches import check_for_network, range_note
from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.files import write_json
from feedbench.bench.loader_facts import dropped_by
from feedbench.bench.plan.plan import Failures
from feedbench.bench.quantities import quantity
from feedbench.bench.training.callbacks import Callbacks, combine
from feedbench.bench.training.delivery import delivery_record
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
from feedbench.bench.training.outcome import together
from feedbench.bench.training.part import trained_since
from feedbench.bench.training.reread import reread_notes
from feedbench.bench.training.results import write_results
from feedbench.bench.training.setup import TrainingSetup, make_setup
from feedbench.bench.training.shared import check_shared
from feedbench.bench.training.team import Start, Team, joined
from feedbench.bench.training.tensorboard import tensorboard
from feedbench.loaders import Batch, Manifest, Stream, open_loader
from feedbench.trainer import Recipe, divide_cpu, leave_gpu_to_backend

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
) -> dict[str, Any] | None:
    """Train to the last epoch, then test the model.

    The folder gets the history, the checkpoint, the models, the predictions of the test images,
    plots, `MODEL_CARD.md` and `training.json`.

    Returns:
        The contents of `training.json`; None on a worker that is not the chief.

    Raises:
        LoaderError: an image cannot be read, or a setting is not valid.
        PlanError: the network refuses the recipe, there are fewer images than a batch holds, or
            another worker trains something else.
        PeerLost: another worker has ended.
        RecordError: the disk is too full, or the checkpoint belongs to another training.
        TrainerError: the weights do not fit, the loss is not finite, or the disk is full.
        TrainingStopped: `callbacks.should_stop` returned True; the checkpoint has the position.
    """
    divide_cpu(best.devices)
    leave_gpu_to_backend()
    setup = replace(make_setup(best, recipe, manifest), rows=options.rows)
    if options.cluster is not None:
        check_shared(options.cluster, setup, is_resumed=options.resume)
    identity = run_identity(best, recipe, setup.train_images)
    saved = _read_saved(folder, identity) if options.resume else None
    start = Start(saved.position.step, tuple(read_dropped(folder))) if saved else Start()
    with joined(options, setup, identity, start, callbacks) as team:
        run = _Run(setup, folder, identity, saved, options, team)
        if team.is_chief:
            _keep_files(run, callbacks)
        # Before the trainer: a stream may fork, and TensorFlow's threads do not survive that.
        with _open_stream(setup, options.failures, team) as stream:
            return _train(run, stream, replace(callbacks, should_stop=team.should_stop))


@dataclass(frozen=True)
class _Run:
    """What is trained, by whom, and where its files are.

    Attributes:
        identity: identifies the training in its checkpoints.
        saved: the checkpoint to resume from.
    """

    setup: TrainingSetup
    folder: Path
    identity: dict[str, Any]
    saved: _Saved | None
    options: TrainingOptions
    team: Team

    @property
    def keeping(self) -> CheckpointPolicy | None:
        """The trainer's own form of the checkpoint policy; None on all workers but the chief."""
        from feedbench.trainer import CheckpointPolicy

        if not self.team.is_chief:
            return None
        policy, facts = self.options.checkpoints, self.setup.model_metadata
        return CheckpointPolicy(self.folder, self.identity, facts, policy.seconds, policy.steps)


def _keep_files(run: _Run, callbacks: Callbacks) -> None:
    """Note which files are trained on; check that a training to resume has the same."""
    images = run.setup.train_images
    if run.saved is None:
        record_images(run.folder, images)
        return
    for note in reread_notes(run.setup.best.loader, run.saved.position):
        callbacks.on_note(note)
    check_same_files(run.folder, images, [error.row for error in read_dropped(run.folder)])


def _train(run: _Run, stream: Stream, callbacks: Callbacks) -> dict[str, Any] | None:
    """Train to the last epoch on an open stream."""
    team, folder, saved = run.team, run.folder, run.saved
    logging = _log_dropped(folder, stream)  # before the first batch may drop any
    setup, batches, first = _with_first(run.setup, stream)
    run = replace(run, setup=setup)
    held_out = HeldOut(setup, run.options.failures)
    trainer, position = _make_trainer(run, first)
    notes = (
        _together_note(run),
        _range_note(setup, first),
        setup.why_not_once,
        trainer.note,
        saved.note if saved else "",
    )
    for note in filter(None, notes):
        callbacks.on_note(note)
    if saved is None and team.is_chief:
        write_config(folder, setup.best, setup.recipe)
        write_json(folder / CLASSES, list(setup.manifest.classes))
    every = combine(logging, team.watching(stream), callbacks)
    begin = copy(position)
    epochs = _fit(run, trainer, held_out, batches, position, every)
    workers = team.collect(begin, epochs, stream)
    if not team.is_chief:
        return None
    dropped = dropped_by(stream)
    delivery = delivery_record(stream, trained_since(begin, epochs), len(workers))
    stop = callbacks.should_stop
    return write_results(setup, trainer, held_out, folder, epochs, dropped, stop, workers, delivery)


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


def _make_trainer(run: _Run, first: Batch | None) -> tuple[TrainerBase, Position]:
    """Return the trainer and its position, as in the checkpoint; check that the disk has room."""
    from feedbench.trainer import CHECKPOINT, CheckpointError

    setup, saved = run.setup, run.saved
    trainer = make_trainer(
        setup.recipe,
        setup.spec,
        setup.train_images,
        setup.image_dtype,
        first=first,
        own=setup.own,
        load_initial_weights=saved is None and run.team.is_chief,
        replicas=run.team.replicas(setup.best.devices),
    )
    if run.team.is_chief:
        size = sum(_size_bytes(variable) for variable in trainer.variables)
        check_disk_space(run.folder, size)
    try:
        return trainer, run.team.agree(trainer, saved and (saved.position, saved.values))
    except ValueError as error:
        path = run.folder / CHECKPOINT
        note = f"; {saved.note}" if saved and saved.note else ""
        raise CheckpointError(f"{path}: it belongs to another network: {error}{note}") from error


def _size_bytes(variable: Any) -> int:
    itemsize: int = np.dtype(variable.dtype).itemsize
    return math.prod(map(int, variable.shape)) * itemsize


def _fit(
    run: _Run,
    trainer: TrainerBase,
    held_out: HeldOut,
    batches: Iterator[Batch],
    position: Position,
    callbacks: Callbacks,
) -> list[Epoch]:
    """Train all epochs, and return them."""
    from feedbench.trainer import fit

    options = run.options if run.team.is_chief else replace(run.options, tensorboard=False)
    epochs = list(position.history)
    with (
        _tensorboard(run.folder, options) as tensorboard_callbacks,
        _divergence_explained(run.setup, run.folder),
    ):
        every = combine(callbacks, tensorboard_callbacks)
        every.on_start(position)
        for epoch in fit(
            trainer,
            batches,
            length=replace(run.setup.length, step_images=run.team.step_images),
            validation=lambda: held_out.open("validation"),
            checkpoints=run.keeping,
            on_step=every.on_step,
            start=position,
            stop=every.should_stop,
        ):
            epochs.append(epoch)
            every.on_epoch(epoch)
    return epochs


def _open_stream(setup: TrainingSetup, failures: Failures, team: Team) -> Stream:
    """Open the endless stream of this worker's batches; images dropped before are not read."""
    return open_loader(
        setup.best.loader,
        setup.train_images,
        setup.spec,
        setup.best.settings,
        start_step=team.start.step,
        dropped=team.start.dropped,
        share=team.share,
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
        setup = replace(setup, image_dtype=dtype)
        batches = map(setup.for_network, batches)
    return setup, replace(stream, batches=batches), first


def _together_note(run: _Run) -> str:
    """Return what trains together; empty for a single device."""
    setup = run.setup
    text = together(setup.best.devices, run.team.workers, setup.spec.batch_size)
    return f"training on {text}" if text else ""


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
            others = f"{quantity(len(images) - 1, 'other image')}, listed in {folder / DIVERGED}"
            batch = f"; the batch holds {images[0]} and {others}"
        raise DivergedError(
            f"epoch {error.epoch}: {error}{batch}; lower base_learning_rate, or set "
            "gradient_clip_norm"
        ) from error
