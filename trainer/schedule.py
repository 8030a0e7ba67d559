"""The learning rate of each step: a warm-up, then cosine, steps, exponential or constant."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from feedbench.trainer.recipe import Phase, Recipe


def make_schedule(recipe: Recipe, phase: Phase, batch_size: int, images: int) -> Any:
    """The phase's learning rate as a Keras schedule."""
    return _schedule_class()(
        kind=recipe.schedule,
        peak=recipe.scaled(phase.base_learning_rate, batch_size),
        warm_up_steps=round(phase.warm_up_epochs * images / batch_size),
        steps=round(phase.epochs * images / batch_size),
        steps_per_epoch=images / batch_size,
        rate_steps=recipe.rate_steps,
        factor=recipe.rate_decay if recipe.schedule == "exponential" else recipe.rate_step_factor,
    )


@cache
def _schedule_class() -> Any:
    import keras
    from keras import ops

    class WarmUpSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        """Linear to the peak, from above 0 so that no step is lost, then a decay."""

        def __init__(self, **values: Any) -> None:
            self._values = values
            self.peak = values["peak"]
            self.warm_up = values["warm_up_steps"]
            self.remaining = max(1, values["steps"] - self.warm_up)

        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32")
            after = ops.maximum(step - self.warm_up, 0.0)
            decayed = self.peak * getattr(self, f"_{self._values['kind']}")(after)
            if not self.warm_up:
                return decayed
            rising = self.peak * (step + 1) / (self.warm_up + 1)
            return ops.where(step < self.warm_up, rising, decayed)

        def _cosine(self, after: Any) -> Any:
            done = ops.minimum(after / self.remaining, 1.0)
            return 0.5 * (1.0 + ops.cos(math.pi * done))

        def _steps(self, after: Any) -> Any:
            passed = ops.convert_to_tensor(0.0)
            for fraction in self._values["rate_steps"]:
                drop = fraction * self._values["steps"] - self.warm_up
                passed = passed + ops.cast(after >= drop, "float32")
            return ops.power(ops.convert_to_tensor(self._values["factor"], "float32"), passed)

        def _exponential(self, after: Any) -> Any:
            factor = ops.convert_to_tensor(self._values["factor"], "float32")
            return ops.power(factor, after / self._values["steps_per_epoch"])

        def _constant(self, after: Any) -> Any:
            return ops.ones_like(after)

        def get_config(self) -> dict[str, Any]:
            return self._values

    return WarmUpSchedule
