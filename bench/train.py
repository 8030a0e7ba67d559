"""The full training with a chosen loader, held against the rate that the bench predicted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from bench.choose import Best
from bench.environment import environment, machine
from bench.errors import PlanError
from bench.record import write_json
from bench.stats import Interval, median_interval
from loaders import BatchSpec, Manifest, SourceError, Split, open_loader, parse_spec
from trainer import Recipe

TRAINING = "training.json"


class Promise(BaseModel):
    """The predicted rate against the achieved one."""

    predicted: tuple[float, float, float] | None
    achieved: tuple[float, float, float] | None
    met: bool | None
    text: str


def train(
    best: Best,
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    *,
    on_epoch: Callable[[Any], None],
    on_step: Callable[[int], None],
) -> dict[str, Any]:
    """Train to the end; the folder gets history, checkpoints, `model.keras`, `training.json`.

    Args:
        on_epoch: called with each `trainer.fit.Epoch`.
        on_step: called with the images of each step.

    Returns:
        What `training.json` holds.

    Raises:
        LoaderError: an image cannot be read, or a setting is not valid.
        PlanError: the network refuses the recipe.
    """
    _quiet()
    from trainer.fit import fit
    from trainer.step import Trainer

    spec = parse_spec(best.spec)
    rows = manifest.only("train")
    with open_loader(best.loader, rows, spec, best.settings) as batches:
        first = next(batches)
        try:
            trainer = Trainer(
                recipe,
                image_size=spec.image_size,
                batch_size=spec.batch_size,
                classes=len(manifest.classes),
                images=len(rows),
                value_range=spec.value_range,
                image_dtype=str(np.dtype(getattr(first.images.dtype, "name", first.images.dtype))),
            )
        except ValueError as error:
            raise PlanError(f"recipe: {str(error).splitlines()[0]}") from error
        epochs = []
        for epoch in fit(
            trainer,
            _again(first, batches),
            images=len(rows),
            epochs=recipe.epochs,
            validation=lambda: _evaluation(manifest, "validation", spec),
            folder=folder,
            on_step=on_step,
        ):
            epochs.append(epoch)
            on_epoch(epoch)
    trainer.save(folder / "model.keras")
    tested = _tested(trainer, manifest, spec)
    rates = [epoch.images_per_second for epoch in epochs]
    facts = environment()
    result = {
        "loader": best.loader,
        "settings": best.settings,
        "spec": spec.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
        "classes": list(manifest.classes),
        "images": manifest.counts(),
        "epochs": [asdict(epoch) for epoch in epochs],
        "test": tested,
        "promise": promise(best, rates, recipe, facts).model_dump(),
        "environment": facts,
    }
    write_json(folder / TRAINING, result)
    return result


def promise(best: Best, rates: list[float], recipe: Recipe, facts: dict[str, Any]) -> Promise:
    """Hold the rates of the epochs, less the first, against the prediction.

    The first epoch traces the step and fills caches, as the warm-up of the bench does.
    """
    achieved = median_interval(rates[1:]) if len(rates) > 1 else None
    if best.predicted is None:
        return Promise(
            predicted=None,
            achieved=achieved,
            met=None,
            text="No rate was predicted: give the best.toml of a bench as --loader.",
        )
    figure = best.predicted.images_per_second
    predicted = Interval(figure.median, figure.low, figure.high)
    said = (
        f"predicted {predicted.median:,.0f} images/s [{predicted.low:,.0f}, {predicted.high:,.0f}]"
    )
    why = _not_comparable(best, recipe, facts, achieved)
    if achieved is None or why:
        return Promise(
            predicted=predicted,
            achieved=achieved,
            met=None,
            text=f"Cannot compare with the {said}: {why}.",
        )
    said += f", achieved {_rate(achieved)}"
    met = achieved.high >= predicted.low
    if met:
        return Promise(predicted=predicted, achieved=achieved, met=True, text=f"Met: {said}.")
    missed = 1 - achieved.median / predicted.median
    return Promise(
        predicted=predicted, achieved=achieved, met=False, text=f"Missed by {missed:.1%}: {said}."
    )


def _rate(rate: Interval) -> str:
    return f"{rate.median:,.0f} images/s [{rate.low:,.0f}, {rate.high:,.0f}]"


def _not_comparable(
    best: Best, recipe: Recipe, facts: dict[str, Any], achieved: Interval | None
) -> str:
    if best.consumer != "train":
        return "it was measured without the trainer"
    if best.machine and best.machine != machine(facts):
        return "it was measured on another machine"
    measured = Recipe.model_validate(best.recipe)
    if (measured.alpha, measured.jit_compile) != (recipe.alpha, recipe.jit_compile):
        return "it was measured with another network or compilation"
    if achieved is None:
        return "a single epoch holds the warm-up; train at least two"
    return ""


def _again(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _evaluation(manifest: Manifest, split: Split, spec: BatchSpec) -> Any:
    """The split once, in its own order, without augmentation."""
    return open_loader("tf_data", manifest.only(split), spec.for_evaluation(), epochs=1)


def _tested(trainer: Any, manifest: Manifest, spec: BatchSpec) -> dict[str, float] | None:
    with suppress(SourceError), _evaluation(manifest, "test", spec) as batches:
        tested: dict[str, float] = trainer.evaluate(batches)
        return tested
    return None


def _quiet() -> None:
    """TensorFlow's notes on its own building are not for the user of a training."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
