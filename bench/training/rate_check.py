"""The rate that a bench predicted against the one that the training achieved."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.best import Best
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval
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


class RateCheck(BaseModel):
    """The predicted rate against the achieved one, in images per second.

    Attributes:
        met: whether the achieved rate may be as high as predicted; None where they cannot be
            compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    predicted: Estimate | None
    achieved: Estimate | None
    met: bool | None
    text: str


def check_rate(best: Best, rates: list[float], recipe: Recipe, facts: dict[str, Any]) -> RateCheck:
    """Compare the rates of the epochs, without the first, with the prediction.

    The first epoch traces the step and fills caches, as the warm-up of the bench does.
    """
    achieved = median_interval(rates[1:]) if len(rates) > 1 else None
    predicted = best.predicted.images_per_second if best.predicted else None
    reason = _not_comparable(best, recipe, facts) if predicted else ""
    met, text = _judged(predicted, achieved, reason)
    return RateCheck(predicted=predicted, achieved=achieved, met=met, text=text)


def _judged(
    predicted: Estimate | None, achieved: Estimate | None, reason: str
) -> tuple[bool | None, str]:
    """Whether the prediction was met, and a sentence about it."""
    if predicted is None:
        return None, "No rate was predicted: give the best.toml of a bench as --loader."
    if not reason and achieved is None:
        reason = "a single epoch holds the warm-up; train at least two"
    rates = f"predicted {predicted:,.0f} images/s"
    if reason or achieved is None:
        return None, f"Cannot compare with the {rates}: {reason}."
    rates += f", achieved {achieved:,.0f} images/s"
    if achieved.high >= predicted.low:
        return True, f"Met: {rates}."
    return False, f"Missed by {1 - achieved.value / predicted.value:.1%}: {rates}."


def _not_comparable(best: Best, recipe: Recipe, facts: dict[str, Any]) -> str:
    """Why the prediction does not hold for this training; empty if it does."""
    if best.consumer != "train":
        return "it was measured without the trainer"
    if best.machine and best.machine != machine(facts):
        return "it was measured on another machine"
    measured = Recipe.model_validate(best.recipe)
    if any(getattr(measured, name) != getattr(recipe, name) for name in _STEP_COST):
        return "it was measured with another network, optimizer or compilation"
    return ""
