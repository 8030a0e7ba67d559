"""The full training with a chosen loader, held against the rate that the bench predicted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from feedbench.bench.analysis.best import Best
from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.environment import environment
from feedbench.bench.errors import PlanError
from feedbench.bench.files import write_json, write_text
from feedbench.bench.plan.plan import Failures
from feedbench.bench.record import Dropped, dropped_by
from feedbench.bench.training.dropped import Drops, read_drops
from feedbench.bench.training.folder import (
    TRAINING,
    check_room,
    check_same,
    identity,
    write_beginning,
)
from feedbench.bench.training.model_card import MODEL_CARD, model_card
from feedbench.bench.training.predictions import PREDICTIONS, Predictions, per_class
from feedbench.bench.training.rate_check import check_rate
from feedbench.bench.training.tensorboard import Window, tensorboard
from feedbench.loaders import (
    DEFAULT_LOADER,
    Batch,
    BatchSpec,
    ImageError,
    Manifest,
    SourceError,
    Split,
    Stream,
    find_loader,
    images_per_epoch,
    open_loader,
    parse_settings,
    parse_spec,
)
from feedbench.loaders.cores import usable_cores
from feedbench.trainer import Recipe

if TYPE_CHECKING:
    from feedbench.trainer.checkpoint import Position
    from feedbench.trainer.fit import CheckpointPolicy, Step
    from feedbench.trainer.history import Epoch
    from feedbench.trainer.step import Trainer

CLASSES = "classes.json"
_RAISE = Failures()
# What a batch spec says of batches and their order; the rest says how one picture is made.
_NOT_OF_A_PICTURE = {"batch_size", "augment", "balance", "shuffle", "seed"}


@dataclass(frozen=True)
class Keep:
    """What a training leaves behind beside its models.

    Attributes:
        checkpoint_seconds, checkpoint_steps: a checkpoint in mid-epoch after so many; 0: none.
        tensorboard: whether logs for it are written.
        profile: first and last step of the profiler's window.
    """

    checkpoint_seconds: float = 300.0
    checkpoint_steps: int = 0
    tensorboard: bool = True
    profile: Window | None = None


@dataclass(frozen=True)
class Watch:
    """Who is told how the training goes.

    Attributes:
        on_start: called with the `Position` that training begins at.
        on_epoch: called with each `Epoch`.
        on_step: called with each `Step`.
        stop: asked after each step.
    """

    on_start: Callable[[Any], None]
    on_epoch: Callable[[Any], None]
    on_step: Callable[[Any], None]
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class _Job:
    """A training as asked for, its parts validated.

    Attributes:
        lost: what evaluation dropped, by path.
    """

    best: Best
    recipe: Recipe
    manifest: Manifest
    rows: Manifest
    spec: BatchSpec
    dtype: str
    failures: Failures
    lost: dict[str, Dropped] = field(default_factory=dict)

    def stream(self, start_step: int, dropped: list[ImageError]) -> Stream:
        """The training batches without end, from a step on, without what was dropped before."""
        return open_loader(
            self.best.loader,
            self.rows,
            self.spec,
            self.best.settings,
            start_step=start_step,
            dropped=dropped,
            **self.failures.model_dump(),
        )

    @contextmanager
    def evaluation(self, split: Split) -> Iterator[Iterator[Batch]]:
        """The split once, in its own order, without augmentation."""
        rows = self.manifest.only(split)
        with open_loader(
            DEFAULT_LOADER,
            rows,
            self.spec.for_evaluation(),
            _evaluation_settings(self.dtype),
            epochs=1,
            **self.failures.model_dump(),
        ) as stream:
            yield each_once(stream, len(rows))
            self.lost.update({one.path: one for one in dropped_by(stream)})

    @property
    def epoch(self) -> dict[str, int]:
        """Images of each class in an epoch."""
        counts = images_per_epoch(self.rows, self.spec)
        return dict(zip(self.manifest.classes, counts.tolist(), strict=True))

    @property
    def facts(self) -> dict[str, Any]:
        """What inference must know; saved within the models."""
        spec = self.spec.model_dump(mode="json", exclude=_NOT_OF_A_PICTURE)
        return {"classes": list(self.manifest.classes), **spec}


def train(
    best: Best,
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    *,
    watch: Watch,
    keep: Keep | None = None,
    resume: bool = False,
    failures: Failures = _RAISE,
) -> dict[str, Any]:
    """Train to the end; the folder gets all that is kept of it.

    That is history, checkpoint, models, predictions of the test images, pictures, `MODEL_CARD.md`
    and `training.json`.

    Args:
        resume: go on from the folder's checkpoint.

    Returns:
        What `training.json` holds.

    Raises:
        LoaderError: an image cannot be read, or a setting is not valid.
        PlanError: the network refuses the recipe, or an epoch would not fill a batch.
        RecordError: the folder has too little room, or its checkpoint is of another run.
        TrainerError: the weights do not fit, the loss is not finite, or the disk is full.
        TrainingStopped: `watch.stop` said so; the checkpoint holds where.
    """
    job = _job(best, recipe, manifest, failures)
    trainer = make_trainer(recipe, job.spec, job.rows, job.dtype, load_initial_weights=not resume)
    of = identity(best, recipe, job.rows)
    check_room(folder, sum(_size(variable) for variable in trainer.variables))
    start = _restored(trainer, folder, of) if resume else None
    if start is None:
        write_beginning(folder, best, recipe)
        write_json(folder / CLASSES, list(manifest.classes))
    epochs, lost = _fitted(job, trainer, folder, start, of, watch, keep or Keep())
    return _finished(job, trainer, folder, epochs, lost)


def each_once(batches: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """The batches without rows that came before: what was dropped has another one in its place."""
    seen = np.zeros(rows, np.bool_)
    for batch in batches:
        first = np.unique(batch.rows, return_index=True)[1]
        new = np.sort(first[~seen[batch.rows[first]]])
        seen[batch.rows] = True
        if len(new) == len(batch.rows):
            yield batch
        elif len(new):
            yield Batch(np.asarray(batch.images)[new], batch.labels[new], batch.rows[new])


def _job(best: Best, recipe: Recipe, manifest: Manifest, failures: Failures) -> _Job:
    spec = parse_spec(best.spec)
    rows = manifest.only("train")
    if len(rows) < spec.batch_size:
        raise PlanError(
            f"batch_size {spec.batch_size} is more than the {len(rows)} training images; lower it"
        )
    dtype = parse_settings(find_loader(best.loader), best.settings).image_dtype
    return _Job(best, recipe, manifest, rows, spec, dtype, failures)


def _evaluation_settings(dtype: str) -> dict[str, Any]:
    """Of the default loader, with which it reads what is held out.

    Nothing is left to AUTOTUNE: a new iterator would tune from scratch, and its end would wait for
    that.
    """
    loader = find_loader(DEFAULT_LOADER)
    settings: dict[str, Any] = {"output": dtype}
    if loader.autotuning is None:
        return settings
    fixed = loader.autotuning.fixed(parse_settings(loader, settings), usable_cores())
    return {**settings, **fixed[0]} if fixed else settings


def _size(variable: Any) -> int:
    itemsize: int = np.dtype(variable.dtype).itemsize
    return math.prod(map(int, variable.shape)) * itemsize


def _restored(trainer: Trainer, folder: Path, of: dict[str, Any]) -> Position:
    from feedbench.trainer.checkpoint import CHECKPOINT, read_checkpoint
    from feedbench.trainer.errors import CheckpointError

    position, values, there = read_checkpoint(folder / CHECKPOINT)
    check_same(folder, of, there)
    try:
        trainer.restore(position.phase, position.phase_steps, values)
    except ValueError as error:
        raise CheckpointError(f"{folder / CHECKPOINT}: of another network: {error}") from error
    return position


def _fitted(
    job: _Job,
    trainer: Trainer,
    folder: Path,
    start: Position | None,
    of: dict[str, Any],
    watch: Watch,
    keep: Keep,
) -> tuple[list[Epoch], list[Dropped]]:
    """The epochs, and the files that were dropped on the way."""
    from feedbench.trainer.checkpoint import Position
    from feedbench.trainer.fit import CheckpointPolicy, fit

    at = start or Position()
    watch.on_start(at)
    epochs = list(at.history)
    checkpoints = CheckpointPolicy(
        folder, of, job.facts, keep.checkpoint_seconds, keep.checkpoint_steps
    )
    with (
        _logged(folder, keep, watch) as (on_epoch, on_step),
        job.stream(at.step, read_drops(folder) if start else []) as batches,
        _explained(job, checkpoints),
    ):
        drops = Drops(folder, batches)

        def on_each(step: Step) -> None:
            drops.keep()
            on_step(step)

        for epoch in fit(
            trainer,
            batches,
            images=sum(job.epoch.values()),
            epochs=job.recipe.epochs,
            validation=lambda: job.evaluation("validation"),
            checkpoints=checkpoints,
            on_step=on_each,
            start=at,
            stop=watch.stop,
        ):
            epochs.append(epoch)
            on_epoch(epoch)
        lost = dropped_by(batches)
    return epochs, lost


@contextmanager
def _logged(
    folder: Path, keep: Keep, watch: Watch
) -> Iterator[tuple[Callable[[Any], None], Callable[[Any], None]]]:
    """The watcher's calls, TensorBoard's beside them."""
    if not keep.tensorboard and keep.profile is None:
        yield watch.on_epoch, watch.on_step
        return
    with tensorboard(folder, keep.profile) as (log_epoch, log_step):

        def on_epoch(epoch: Any) -> None:
            watch.on_epoch(epoch)
            log_epoch(epoch)

        def on_step(step: Any) -> None:
            watch.on_step(step)
            log_step(step)

        yield on_epoch, on_step


@contextmanager
def _explained(job: _Job, checkpoints: CheckpointPolicy) -> Iterator[None]:
    """Name the images of a batch whose loss is not finite, and keep all of their paths."""
    from feedbench.trainer.errors import DivergedError
    from feedbench.trainer.step import NonFiniteLoss

    try:
        yield
    except NonFiniteLoss as error:
        rows = [] if error.rows is None else [job.rows.path(int(row)) for row in error.rows]
        kept = checkpoints.folder / "diverged.json"
        about = {"epoch": error.epoch, "step": error.step, "learning_rate": error.learning_rate}
        write_json(kept, about | {"images": rows})
        named = f"; its batch: {rows[0]} and {len(rows) - 1} more, in {kept}" if rows else ""
        raise DivergedError(
            f"epoch {error.epoch}: {error}{named}; lower base_learning_rate, or set "
            "gradient_clip_norm"
        ) from error


def _finished(
    job: _Job,
    trainer: Trainer,
    folder: Path,
    epochs: list[Epoch],
    lost: list[Dropped],
) -> dict[str, Any]:
    trainer.save(folder / "model.keras", job.facts)
    facts = environment()
    tested, predictions = _tested(job, trainer)
    rates = [epoch.images_per_second for epoch in epochs]
    result = {
        "loader": job.best.loader,
        "settings": job.best.settings,
        "spec": job.spec.model_dump(mode="json"),
        "recipe": job.recipe.model_dump(mode="json"),
        "classes": list(job.manifest.classes),
        "images": job.manifest.counts(),
        "images_an_epoch": job.epoch,
        "dropped": [one.model_dump() for one in [*lost, *job.lost.values()]],
        "epochs": [asdict(epoch) for epoch in epochs],
        "test": tested,
        "per_class": _per_class(job, predictions),
        "promise": check_rate(job.best, rates, job.recipe, facts).model_dump(mode="json"),
        "environment": facts,
    }
    _pictured(job, folder, epochs, predictions)
    write_text(folder / MODEL_CARD, model_card(result))
    write_json(folder / TRAINING, result)
    return result


def _tested(job: _Job, trainer: Trainer) -> tuple[dict[str, float] | None, Predictions | None]:
    predictions = Predictions()
    with suppress(SourceError), job.evaluation("test") as batches:
        tested: dict[str, float] = trainer.evaluate(predictions.gathered(trainer, batches))
        return tested, predictions
    return None, None


def _per_class(job: _Job, predictions: Predictions | None) -> list[dict[str, Any]]:
    if predictions is None:
        return []
    classes = job.manifest.classes
    lines = per_class(predictions.confusion(len(classes)), classes)
    return [line.model_dump() for line in lines]


def _pictured(
    job: _Job, folder: Path, epochs: list[Epoch], predictions: Predictions | None
) -> None:
    from feedbench.bench.training.plots import CONFUSION, CURVES, draw_confusion, draw_curves

    draw_curves(epochs, folder / CURVES)
    if predictions is None:
        return
    classes = job.manifest.classes
    predictions.write(folder / PREDICTIONS, job.manifest.only("test"))
    draw_confusion(predictions.confusion(len(classes)), classes, folder / CONFUSION)
