"""The full training with a chosen loader, held against the rate that the bench predicted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.choose import Best
from bench.consumer import make_trainer
from bench.environment import environment
from bench.errors import PlanError
from bench.plan import Failures
from bench.promise import promise
from bench.record import write_json
from bench.worker import dropped
from loaders import (
    BatchSpec,
    Manifest,
    SourceError,
    Split,
    find_loader,
    open_loader,
    parse_settings,
    parse_spec,
)
from trainer import Recipe

TRAINING = "training.json"
_RAISE = Failures()


def train(
    best: Best,
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    *,
    on_epoch: Callable[[Any], None],
    on_step: Callable[[int], None],
    failures: Failures = _RAISE,
) -> dict[str, Any]:
    """Train to the end; the folder gets history, checkpoints, `model.keras`, `training.json`.

    Args:
        on_epoch: called with each `trainer.fit.Epoch`.
        on_step: called with the images of each step.

    Returns:
        What `training.json` holds.

    Raises:
        LoaderError: an image cannot be read, or a setting is not valid.
        PlanError: the network refuses the recipe, or an epoch would not fill a batch.
    """
    from trainer.fit import fit

    spec = parse_spec(best.spec)
    dtype = parse_settings(find_loader(best.loader), best.settings).image_dtype
    rows = manifest.only("train")
    if len(rows) < spec.batch_size:
        raise PlanError(
            f"batch_size {spec.batch_size} is more than the {len(rows)} training images; lower it"
        )
    trainer = make_trainer(recipe, spec, rows, dtype)
    epochs = []
    with open_loader(best.loader, rows, spec, best.settings, **failures.model_dump()) as batches:
        for epoch in fit(
            trainer,
            batches,
            images=len(rows),
            epochs=recipe.epochs,
            validation=lambda: _evaluation(manifest, "validation", spec, dtype),
            folder=folder,
            on_step=on_step,
        ):
            epochs.append(epoch)
            on_epoch(epoch)
        lost = dropped(batches)
    trainer.save(folder / "model.keras")
    facts = environment()
    rates = [epoch.images_per_second for epoch in epochs]
    result = {
        "loader": best.loader,
        "settings": best.settings,
        "spec": spec.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
        "classes": list(manifest.classes),
        "images": manifest.counts(),
        "dropped": lost,
        "epochs": [asdict(epoch) for epoch in epochs],
        "test": _tested(trainer, manifest, spec, dtype),
        "promise": promise(best, rates, recipe, facts).model_dump(),
        "environment": facts,
    }
    write_json(folder / TRAINING, result)
    return result


def _evaluation(manifest: Manifest, split: Split, spec: BatchSpec, dtype: str) -> Any:
    """The split once, in its own order, without augmentation."""
    settings = {"output": dtype}
    return open_loader("tf_data", manifest.only(split), spec.for_evaluation(), settings, epochs=1)


def _tested(
    trainer: Any, manifest: Manifest, spec: BatchSpec, dtype: str
) -> dict[str, float] | None:
    with suppress(SourceError), _evaluation(manifest, "test", spec, dtype) as batches:
        tested: dict[str, float] = trainer.evaluate(batches)
        return tested
    return None
