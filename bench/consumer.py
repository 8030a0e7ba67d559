"""What takes batches: the real trainer, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bench.errors import PlanError
from loaders import Batch, BatchSpec, Manifest
from trainer import Recipe

if TYPE_CHECKING:
    from trainer.step import Trainer


class Consumer(Protocol):
    """What takes batches."""

    def step(self, batch: Batch) -> None:
        """Take one batch; return as soon as the host may prepare the next."""

    def finish(self) -> None:
        """Return when the device has done all that it was given."""


class Drain:
    """Takes batches and does nothing: the loader alone."""

    def step(self, batch: Batch) -> None:
        """Forget the batch."""

    def finish(self) -> None:
        """Nothing is under way."""


def make_trainer(recipe: Recipe, spec: BatchSpec, manifest: Manifest, image_dtype: str) -> Trainer:
    """The real trainer for a manifest's classes, and batches of a spec.

    Raises:
        PlanError: the network refuses the recipe or the image size.
    """
    from trainer.step import Trainer

    try:
        return Trainer(
            recipe,
            image_size=spec.image_size,
            batch_size=spec.batch_size,
            classes=len(manifest.classes),
            images=len(manifest),
            value_range=spec.value_range,
            image_dtype=image_dtype,
        )
    except ValueError as error:
        raise PlanError(f"recipe: {str(error).splitlines()[0]}") from error
