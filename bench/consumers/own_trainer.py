"""Trains a user's own model, and names their file and line in what their code raises."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from feedbench.bench.consumers.own_batches import check_for_model
from feedbench.bench.consumers.own_model import Builder, ModelFile, explained
from feedbench.loaders import OwnFunction
from feedbench.trainer import (
    BatchLike,
    Images,
    ModelTrainer,
    OwnModel,
    Recipe,
    Schedule,
    makes_own_steps,
)


class OwnTrainer(ModelTrainer):
    """A `ModelTrainer` whose errors name the place in the user's code."""

    def __init__(
        self,
        builder: Builder,
        own: OwnModel,
        recipe: Recipe,
        schedule: Schedule,
        first: BatchLike,
        source: OwnFunction | Images,
    ) -> None:
        """Prepare the model for batches; see `ModelTrainer`.

        Args:
            source: the user's function that gives the batches, or what those of a loader of
                Feedbench are.

        Raises:
            PlanError: the user's function gives batches that the model cannot take.
        """
        self._builder, self._own = builder, own
        self._loader = source if isinstance(source, OwnFunction) else None
        images = None if isinstance(source, OwnFunction) else source
        if not makes_own_steps(own.model):
            self._check(first)
        with explained(builder, "as the model was prepared for the first batch"):
            super().__init__(own, recipe, schedule, first, images)

    @property
    def origin(self) -> ModelFile:
        """The file that the model came from."""
        return self._builder.origin

    def _check(self, batch: BatchLike) -> None:
        if self._loader is not None:
            check_for_model(batch, self._own, self._loader)

    def _train_on(self, batch: BatchLike) -> Any:
        try:
            with explained(self._builder, f"in step {self.phase_steps + 1} of the training"):
                return super()._train_on(batch)
        except Exception:
            self._check(batch)  # its error names the cause
            raise

    def evaluate(self, batches: Iterable[BatchLike]) -> dict[str, float]:
        """Loss and metrics on some batches; resets the running ones."""
        with explained(self._builder, "in the validation"):
            return super().evaluate(batches)

    def save(self, path: Path, facts: dict[str, Any] | None = None) -> None:
        """Write the model as `model.save` does, with what inference needs to know."""
        with explained(self._builder, f"while {path.name} was saved"):
            super().save(path, facts)
