"""Write what a finished training leaves: model, predictions, plots, model card, training.json."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feedbench.bench.environment import environment
from feedbench.bench.errors import RecordError
from feedbench.bench.files import ELSEWHERE, write_json, write_text
from feedbench.bench.loader_facts import own_of
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Dropped
from feedbench.bench.training.confusion import CONFUSION, draw_confusion
from feedbench.bench.training.evaluation import Evaluation, HeldOut, evaluate_test_split
from feedbench.bench.training.folder import MODEL, TRAINING
from feedbench.bench.training.model_card import MODEL_CARD, model_card
from feedbench.bench.training.plots import CURVES, draw_curves
from feedbench.bench.training.predictions import PREDICTIONS, class_metrics
from feedbench.bench.training.rate_check import RATE_CHECK_KEY, Basis, TimedEpoch, check_rate
from feedbench.bench.training.setup import TrainingSetup

if TYPE_CHECKING:
    from feedbench.trainer import Epoch, TrainerBase


def write_results(
    setup: TrainingSetup,
    trainer: TrainerBase,
    held_out: HeldOut,
    folder: Path,
    epochs: Sequence[Epoch],
    dropped: Sequence[Dropped],
    should_stop: Callable[[], bool],
    workers: Sequence[dict[str, Any]] = (),
    delivery: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Save and test the trained model, and describe the training.

    Args:
        dropped: training images that could not be read.
        should_stop: called before each test batch; the training stops if it returns True.
        workers: what each of several machines did.
        delivery: what crossed the network for the batches, and what was lost.

    Returns:
        The contents of `training.json`, which is written last.

    Raises:
        CheckpointError: a file cannot be written.
    """
    trainer.end_training()
    with resumable(folder):
        trainer.save(folder / MODEL, setup.model_metadata)
    evaluation = evaluate_test_split(trainer, held_out, should_stop)
    all_dropped = [*dropped, *held_out.dropped]
    result = _result(setup, evaluation, epochs, all_dropped, workers)
    result |= {**(delivery or {}), "why_not_once": setup.why_not_once}
    with resumable(folder):
        _draw_plots(setup, evaluation, epochs, folder)
        if evaluation is not None and evaluation.predictions is not None:
            evaluation.predictions.write(folder / PREDICTIONS, setup.manifest.only("test"))
        write_text(folder / MODEL_CARD, model_card(result))
        write_json(folder / TRAINING, result)
    return result


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Name the remedy if a file of a trained network cannot be written in the body.

    Raises:
        CheckpointError: the disk is full, or fails.
    """
    from feedbench.trainer import CheckpointError

    try:
        yield
    except (OSError, RecordError) as error:
        what = str(error).removesuffix(f"; {ELSEWHERE}")
        if isinstance(error, OSError):
            what = f"{error.filename or folder}: {error.strerror or error}"
        raise CheckpointError(
            f"{what}; the last checkpoint is intact: make files writable there, and use --resume"
        ) from error


def _result(
    setup: TrainingSetup,
    evaluation: Evaluation | None,
    epochs: Sequence[Epoch],
    dropped: Sequence[Dropped],
    workers: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    facts, own = environment(), own_of(setup.best.loader)
    model = setup.own_model
    timed = [_timed(epoch) for epoch in epochs]
    basis = Basis(facts, model.sha256 if model else None, setup.rows)
    machines = len(workers) or 1
    rate_check = check_rate(setup.best, timed, setup.recipe, basis, machines)
    return {
        "loader": setup.best.loader,
        "devices": setup.best.devices,
        "own": own.model_dump() if own else None,
        "settings": setup.best.settings,
        "spec": setup.spec.model_dump(mode="json"),
        "recipe": setup.recipe.model_dump(mode="json"),
        "model": model and model.model_dump(),
        "classes": list(setup.manifest.classes),
        "images": setup.manifest.counts(),
        "rows": setup.rows,
        "images_per_epoch": setup.images_per_epoch,
        "dropped": [image.model_dump() for image in dropped],
        "epochs": [_known(asdict(epoch)) for epoch in epochs],
        "test": evaluation.metrics if evaluation else None,
        "per_class": _class_metrics(setup, evaluation),
        RATE_CHECK_KEY: rate_check.model_dump(mode="json"),
        "environment": facts,
        "workers": list(workers),
    }


def _timed(epoch: Epoch) -> TimedEpoch:
    rates = epoch.part_rates or (epoch.images_per_second,)
    return TimedEpoch(rates, epoch.wait_s, epoch.train_s, epoch.first_of_process)


def _known(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _class_metrics(setup: TrainingSetup, evaluation: Evaluation | None) -> list[dict[str, Any]]:
    if evaluation is None or evaluation.predictions is None:
        return []
    classes = setup.manifest.classes
    pairs = evaluation.predictions.pairs(len(classes))
    return [metrics.model_dump() for metrics in class_metrics(pairs, classes)]


def _draw_plots(
    setup: TrainingSetup, evaluation: Evaluation | None, epochs: Sequence[Epoch], folder: Path
) -> None:
    accuracy = evaluation.metrics.get("accuracy") if evaluation else None
    draw_curves(epochs, folder / CURVES, accuracy, _subject(setup))
    if evaluation is not None and evaluation.predictions is not None:
        classes = setup.manifest.classes
        pairs = evaluation.predictions.pairs(len(classes))
        draw_confusion(pairs, classes, folder / CONFUSION)


def _subject(setup: TrainingSetup) -> str:
    """Return what was trained, in a line."""
    spec, recipe = setup.spec, setup.recipe
    network = recipe.network + (f", alpha {recipe.alpha:g}" if recipe.alpha != 1 else "")
    loader = Choice(loader=setup.best.loader, settings=setup.best.settings)
    return f"{network} · {spec.image_size} px, batch {spec.batch_size} · {loader}"
