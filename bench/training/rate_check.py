"""The rate check: the rate that a bench predicted, and the one that a training achieved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.best import Best, Predicted
from feedbench.bench.analysis.estimate import Estimate, Positive, rate_text
from feedbench.bench.analysis.stats import MIN_BLOCKS, independent_ratio, serial_interval
from feedbench.bench.consumers.trainer import timed_phase
from feedbench.bench.environment import machine
from feedbench.bench.loader_facts import own_digest
from feedbench.bench.training.rate_loss import Pace, loss_text
from feedbench.trainer import Recipe

RATE_CHECK_KEY = "promise"  # in training.json, unchanged so that all records can be read
# Two processes that do the same work differ by a few percent, by the placement of their memory and
# threads and by the load of the machine, which no interval from one process contains. A training
# that is slower than its bench by no more than this has met its rate. A convention.
MARGIN = 0.03
LEAST_RATES = 20  # from which the interval of their median is narrow
LEAST_STEPS = 10  # in a part: the host is ahead of the device by some, which then hardly count
# Fields of the recipe that change how long a step takes.
STEP_COST = (
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

T = TypeVar("T")


class RateCheck(BaseModel):
    """Predicted and achieved rate of a training, in images per second.

    Attributes:
        predicted: the rate of the bench; None if there is none.
        achieved: the rate in all epochs but the first; None after a single epoch.
        met: whether the achieved rate is at most `MARGIN` below the prediction, by the interval of
            the ratio of the two; None if the interval contains that limit or there is none.
        text: the same as a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    predicted: Positive | None
    achieved: Positive | None
    met: bool | None
    text: str


def check_rate(
    best: Best,
    rates: Sequence[Sequence[float]],
    recipe: Recipe,
    facts: dict[str, Any],
    model: str | None = None,
    waits: Sequence[tuple[float, float]] = (),
    machines: int = 1,
) -> RateCheck:
    """Compare the rates of the epochs, or of their parts, with the prediction.

    Only epochs of the phase that the bench times are compared. The first of them does not count: it
    traces the step and fills caches, as the warm-up of the bench does.

    Args:
        rates: images per second in each epoch, from the first: of its parts, or of the whole.
        facts: the environment of the training, from `environment`.
        model: digest of the file of the user's own model; None without one.
        waits: seconds without a batch, and seconds in all, of each epoch.
        machines: how many trained together.
    """
    counted = [rate for parts in counted_rates(rates, recipe) for rate in parts]
    achieved = serial_interval(counted) if counted else None
    predicted = best.predicted.images_per_second if best.predicted else None
    reason = best.why_unpredicted
    if predicted:
        reason = _why_not_comparable(best, recipe, facts, model) or _several(machines)
    met, text = _verdict(predicted, achieved, reason)
    if met is False:
        text = " ".join(filter(None, (text, _loss(best.predicted, achieved, waits, recipe))))
    return RateCheck(predicted=predicted, achieved=achieved, met=met, text=text)


def applicable_rate(
    best: Best, recipe: Recipe, facts: dict[str, Any], model: str | None = None
) -> Estimate | None:
    """Return the predicted rate if this training will be compared with it; None otherwise.

    The arguments are those of `check_rate`.
    """
    if best.predicted is None or not counted_rates(range(recipe.epochs), recipe):
        return None
    if _why_not_comparable(best, recipe, facts, model):
        return None
    return best.predicted.images_per_second


def timed_parts(recipe: Recipe, steps: int) -> int:
    """Return the parts into which an epoch is divided, to have `LEAST_RATES` in a training.

    A training of many epochs has them without.

    Args:
        steps: in an epoch.
    """
    counted = max(1, recipe.phases[timed_phase(recipe)].epochs - 1)
    return max(1, min(-(-LEAST_RATES // counted), steps // LEAST_STEPS))


def counted_rates(rates: Sequence[T], recipe: Recipe) -> Sequence[T]:
    """Return the rates of the epochs of the phase that a bench times, but for its first."""
    phase = recipe.phases[timed_phase(recipe)]
    return rates[phase.before + 1 : phase.before + phase.epochs]


def _verdict(
    predicted: Estimate | None, achieved: Estimate | None, reason: str
) -> tuple[bool | None, str]:
    """Return whether the prediction was met, and a sentence that says so.

    Args:
        reason: why there is no prediction, or why it does not apply; empty if it does.
    """
    if predicted is None:
        return None, f"Rate check: no predicted rate: {reason}."
    if not reason and achieved is None:
        reason = "the only epoch of its kind includes the warm-up; train at least two"
    if reason or achieved is None:
        return None, (
            f"Rate check: not possible; predicted {rate_text(predicted)} images/s, but {reason}."
        )
    rates = f"predicted {rate_text(predicted)} images/s, achieved {rate_text(achieved)} images/s"
    ratio = independent_ratio(achieved, predicted)
    if ratio.lies_below(1 - MARGIN):
        return False, f"Rate check: missed by {1 - ratio.value:.1%}; {rates}."
    if ratio.lies_above(1 - MARGIN):
        return True, f"Rate check: met; {rates}."
    return None, f"Rate check: cannot tell; {rates}: {_why_uncertain(predicted, achieved, ratio)}."


def _loss(
    predicted: Predicted | None,
    achieved: Estimate | None,
    waits: Sequence[tuple[float, float]],
    recipe: Recipe,
) -> str:
    """Return where the time went; empty if it is not known."""
    counted = counted_rates(waits, recipe)
    if not counted or achieved is None or predicted is None or predicted.wait_share is None:
        return ""
    wait_share = sum(wait_s for wait_s, _ in counted) / sum(train_s for _, train_s in counted)
    expected = Pace(predicted.images_per_second.value, predicted.wait_share)
    return loss_text(expected, Pace(achieved.value, wait_share))


def _why_uncertain(predicted: Estimate, achieved: Estimate, ratio: Estimate) -> str:
    if predicted.interval is None:
        return f"the bench had fewer than {MIN_BLOCKS} blocks"
    if achieved.interval is None:
        return f"fewer than {MIN_BLOCKS} epochs after the first, with too few steps to divide"
    return f"achieved ÷ predicted is {ratio:.2f}, and at most {MARGIN:.0%} below 1 counts as met"


def _why_not_comparable(
    best: Best, recipe: Recipe, facts: dict[str, Any], model: str | None
) -> str:
    """Return why the prediction does not apply to this training; empty if it does."""
    if best.consumer != "train":
        return "this was measured without the trainer"
    if best.machine and best.machine != machine(facts):
        return "this was measured on another machine"
    bench_recipe = Recipe.model_validate(best.recipe)
    if any(getattr(bench_recipe, name) != getattr(recipe, name) for name in STEP_COST):
        return "this was measured with another network, optimizer or compilation"
    if changed := _changed_file(best, recipe, model):
        return f"{changed} has changed since it was measured"
    if _timed_layers(bench_recipe) != _timed_layers(recipe):
        return "this was measured in another phase of the training, since its epochs differ"
    return ""


def _several(machines: int) -> str:
    if machines == 1:
        return ""
    return f"this was measured on one machine, and {machines} workers trained together"


def _changed_file(best: Best, recipe: Recipe, model: str | None) -> str:
    """Return the user's loader or model whose file is not that of the bench; empty if none is."""
    if best.own != own_digest(best.loader):
        return best.loader
    return recipe.network if best.model != model else ""


def _timed_layers(recipe: Recipe) -> str:
    return recipe.phases[timed_phase(recipe)].trainable
