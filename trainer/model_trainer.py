"""Trains a user's own Keras model by the model's own steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.replacing import replacing
from feedbench.trainer.base import BatchLike, TrainerBase, plain
from feedbench.trainer.compiled import compiled_steps
from feedbench.trainer.launcher import Logs
from feedbench.trainer.model_data import as_array
from feedbench.trainer.model_setup import Images, OwnModel, Schedule, prepared
from feedbench.trainer.model_state import model_variables
from feedbench.trainer.model_targets import as_probabilities, gives_logits
from feedbench.trainer.recipe import Recipe
from feedbench.trainer.saved_model import save_model


class ModelTrainer(TrainerBase):
    """Trains a Keras model as its `fit` would.

    A compiled model keeps its optimizer, loss, metrics and `train_step`; one that is not compiled
    gets those of the recipe.
    """

    def __init__(
        self,
        own: OwnModel,
        recipe: Recipe,
        schedule: Schedule,
        first: BatchLike,
        images: Images | None,
    ) -> None:
        """Prepare the model for batches.

        Args:
            first: a batch; it is not trained on.
            images: describes the batches; None if a user's own loader gives them: they are then
                passed on unchanged.

        Raises:
            RecipeError: the model cannot be trained on such batches.
        """
        super().__init__()
        self._model, self._first = own.model, first
        self._feed = prepared(own, recipe, schedule, first, images)
        is_fixed = images is not None or getattr(first, "fixed_size", False)
        self._run = compiled_steps(self._model, any_size=not is_fixed)

    def _train_on(self, batch: BatchLike) -> Any:
        return self._run.train(self._feed.train(batch))

    def _rate_at(self, step: int) -> float:
        return self.learning_rate

    def phase_at(self, epoch: int) -> int:
        """The only phase."""
        return 0

    def enter(self, phase: int) -> None:
        """Nothing changes: there is only one phase."""

    def start_epoch(self) -> None:
        """Reset the running loss and metrics."""
        self._run.settle()
        self._model.reset_metrics()

    def evaluate(self, batches: Iterable[BatchLike]) -> Logs:
        """Loss and metrics on some batches, by the model's `test_step`; resets the running ones."""
        self.start_epoch()
        logs: Any = {}
        for batch in batches:
            logs = self._run.test(self._feed.test(batch))
        evaluated = plain(logs)
        self.start_epoch()
        return evaluated

    def probabilities(
        self, batches: Iterable[BatchLike]
    ) -> Iterator[tuple[BatchLike, NDArray[np.float32] | None]]:
        """Each batch with the class probabilities of its images, float32 `[batch, classes]`.

        None where the outputs of the model are none.
        """
        for batch in batches:
            self._run.settle()
            outputs = self._model.predict_on_batch(self._feed.inputs(batch))
            yield batch, as_probabilities(outputs, logits=self._logits)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; NaN if the model has no optimizer, or several."""
        self._run.settle()
        rate = getattr(self._model.optimizer, "learning_rate", None)
        return math.nan if rate is None else float(as_array(rate))

    @property
    def variables(self) -> list[Any]:
        """Weights, metrics and seeds, and the variables of every optimizer that the model holds."""
        self._run.settle()
        return model_variables(self._model)

    def end_training(self) -> None:
        """Let the optimizer set the final weights, as `fit` does: their averages, with an EMA."""
        import keras

        self._run.settle()
        optimizer = self._model.optimizer
        if isinstance(optimizer, keras.optimizers.Optimizer):
            optimizer.finalize_variable_values(self._model.trainable_weights)

    def restore(self, phase: int, steps: int, values: Sequence[NDArray[Any]]) -> None:
        """Return to the values of a `capture`, taken after `steps` steps.

        Raises:
            ValueError: the values belong to another network or optimizer.
        """
        # Keras, and the user's own code, create variables in the first step.
        self._run.train(self._feed.train(self._first))
        self._assign(values)
        self._logs = plain(self._model.get_metrics_result())
        self._steps = steps

    def save(self, path: Path, facts: dict[str, Any] | None = None) -> None:
        """Write the model as `model.save` does, with what inference needs to know.

        If Keras cannot save the model, its weights are written to a `.weights.h5` file.
        """
        self._run.settle()
        if not self._unsaved:
            own = {"takes": self._feed.takes, "logits": self._logits}
            save_model(self._model, path, {**(facts or {}), **own})
            return
        with replacing(path.with_suffix(".weights.h5"), alone=True) as beside:
            self._model.save_weights(beside)

    @property
    def note(self) -> str:
        """A line about what cannot be saved; empty if everything can."""
        if not self._unsaved:
            return ""
        return f"Keras cannot save this model, so .weights.h5 files are written: {self._unsaved}"

    @cached_property
    def _logits(self) -> bool | None:
        """Whether the outputs are logits; None if that is unknown."""
        return gives_logits(self._model)

    @cached_property
    def _unsaved(self) -> str:
        """Why Keras cannot save the model; empty if it can."""
        import keras

        try:
            keras.saving.serialize_keras_object(self._model)
        except Exception as error:  # whatever the user's get_config raises
            return next(iter(str(error).strip().splitlines()), type(error).__name__).strip()
        return ""

    def saving(
        self, values: Sequence[Any], path: Path, facts: dict[str, Any]
    ) -> Callable[[], None]:
        """Save the model at once: not every model of a user can be copied."""
        self.save(path, facts)
        return lambda: None
