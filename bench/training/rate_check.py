"""The rate that a bench predicted against the one that the training achieved."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from feedbench.bench.analysis.best import Best
from feedbench.bench.analysis.stats import Interval, median_interval
from feedbench.bench.environment import machine
from feedbench.trainer import Recipe

# Fields of the recipe that decide how long a step takes.
_STEP_COST = (
    "network",
    "alpha",
    "optimizer",
    "mixed_precision",
    "jit_compile",
    "frozen_epochs",
    "fine_tune_layers",
    "fine_tune_batch_norm",
    "weight_decay",
    "gradient_clip_norm",
)


class Promise(BaseModel):
    """The predicted rate against the achieved one."""

    predicted: tuple[float, float, float] | None
    achieved: tuple[float, float, float] | None
    met: bool | None
    text: str


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
    if any(getattr(measured, name) != getattr(recipe, name) for name in _STEP_COST):
        return "it was measured with another network, optimizer or compilation"
    if achieved is None:
        return "a single epoch holds the warm-up; train at least two"
    return ""
