"""The rate check: the rate that a bench predicted, and the one that a training achieved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.best import Best, Predicted
from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.analysis.estimate import Estimate, Positive, rate_text
from feedbench.bench.analysis.stats import MIN_BLOCKS, independent_ratio, serial_interval
from feedbench.bench.consumers.trainer import timed_phase
from feedbench.bench.environment import machine
from feedbench.bench.loader_facts import own_digest
from feedbench.bench.training.rate_loss import Pace, loss_text
from feedbench.trainer import Position, Recipe

RATE_CHECK_KEY = "promise"  # in training.json, unchanged so that all records can be read
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


@dataclass(frozen=True)
class TimedEpoch:
    """What a rate check needs of an epoch.

    Attributes:
        rates: images per second of its parts, in order, or of the whole.
        wait_s: part of `train_s` without a batch.
        first_of_process: whether a process began within it, so that it includes a warm-up.
    """

    rates: Sequence[float]
    wait_s: float
    train_s: float
    first_of_process: bool = False


@dataclass(frozen=True)
class Basis:
    """What a rate depends on besides loader and recipe.

    Attributes:
        facts: the environment, from `environment`.
        model: digest of the file of the user's own model; None without one.
        rows: fingerprint of the training images; None if it is not known.
    """

    facts: dict[str, Any]
    model: str | None = None
    rows: str | None = None


class RateCheck(BaseModel):
    """Predicted and achieved rate of a training, in images per second.

    Attributes:
        predicted: the rate of the bench; None if there is none.
        achieved: the rate in all epochs without a warm-up; None if there is none.
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
    epochs: Sequence[TimedEpoch],
    recipe: Recipe,
    basis: Basis,
    machines: int = 1,
) -> RateCheck:
    """Compare the rates of the epochs, or of their parts, with the prediction.

    Only epochs of the phase that the bench times are compared. The first of them does not count,
    nor does one in which a training was resumed: these trace the step and fill caches, as the
    warm-up of the bench does.

    Args:
        epochs: all, from the first.
        basis: of the training.
        machines: how many trained together.
    """
    counted = counted_epochs(epochs, recipe, [epoch.first_of_process for epoch in epochs])
    rates = [rate for epoch in counted for rate in epoch.rates]
    achieved = serial_interval(rates) if rates else None
    predicted = best.predicted.images_per_second if best.predicted else None
    reason = best.why_unpredicted
    if predicted:
        reason = _why_not_comparable(best, recipe, basis) or _several(machines)
        reason = reason or _why_no_rate(counted, epochs)
    met, text = _verdict(predicted, achieved, reason)
    if met is False:
        text = " ".join(filter(None, (text, _loss(best.predicted, achieved, counted))))
    return RateCheck(predicted=predicted, achieved=achieved, met=met, text=text)


def applicable_rate(
    best: Best, recipe: Recipe, basis: Basis, position: Position, machines: int = 1
) -> Estimate | None:
    """Return the predicted rate if this training will be compared with it; None otherwise.

    The other arguments are those of `check_rate`.

    Args:
        position: at which the training starts or resumes.
    """
    if best.predicted is None or not _any_will_count(recipe, position):
        return None
    if _why_not_comparable(best, recipe, basis) or _several(machines):
        return None
    return best.predicted.images_per_second


def _any_will_count(recipe: Recipe, position: Position) -> bool:
    """Whether an epoch is counted in the end, if this process trains all that are left."""
    marks = [epoch.first_of_process for epoch in position.history]
    left = recipe.epochs - len(marks)
    marks += [True, *[False] * (left - 1)] if left else []
    return bool(counted_epochs(marks, recipe, marks))


def timed_parts(recipe: Recipe, steps: int) -> int:
    """Return the parts into which an epoch is divided, to have `LEAST_RATES` in a training.

    A training of many epochs has them without.

    Args:
        steps: in an epoch.
    """
    counted = max(1, recipe.phases[timed_phase(recipe)].epochs - 1)
    return max(1, min(-(-LEAST_RATES // counted), steps // LEAST_STEPS))


def counted_epochs(
    epochs: Sequence[T], recipe: Recipe, first_of_process: Sequence[bool]
) -> list[T]:
    """Return the epochs without a warm-up of the phase that a bench times.

    Args:
        epochs: all, from the first, or their rates.
        first_of_process: whether a process began within each.
    """
    phase = recipe.phases[timed_phase(recipe)]
    marked = list(zip(epochs, first_of_process, strict=True))
    within = marked[phase.before + 1 : phase.before + phase.epochs]
    return [epoch for epoch, is_first in within if not is_first]


def _verdict(
    predicted: Estimate | None, achieved: Estimate | None, reason: str
) -> tuple[bool | None, str]:
    """Return whether the prediction was met, and a sentence that says so.

    Args:
        reason: why there is no prediction, or why it does not apply; empty if it does.
    """
    if predicted is None:
        return None, f"Rate check: no predicted rate: {reason}."
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
    counted: Sequence[TimedEpoch],
) -> str:
    """Return where the time went; empty if it is not known."""
    if not counted or achieved is None or predicted is None or predicted.wait_share is None:
        return ""
    wait_share = sum(one.wait_s for one in counted) / sum(one.train_s for one in counted)
    expected = Pace(predicted.images_per_second.value, predicted.wait_share)
    return loss_text(expected, Pace(achieved.value, wait_share))


def _why_no_rate(counted: Sequence[TimedEpoch], epochs: Sequence[TimedEpoch]) -> str:
    """Return why no epoch counts; empty if one does."""
    if counted:
        return ""
    if any(epoch.first_of_process for epoch in epochs[1:]):
        return "each epoch of its kind includes a warm-up; train one without an interruption"
    return "the only epoch of its kind includes the warm-up; train at least two"


def _why_uncertain(predicted: Estimate, achieved: Estimate, ratio: Estimate) -> str:
    if predicted.interval is None:
        return f"the bench had fewer than {MIN_BLOCKS} blocks"
    if achieved.interval is None:
        return (
            f"fewer than {MIN_BLOCKS} epochs without a warm-up, each with too few steps to be "
            f"divided; train at least {MIN_BLOCKS + 1} epochs without an interruption"
        )
    return (
        f"achieved ÷ predicted is {ratio:.2f}; this interval contains {1 - MARGIN:.2f}, the least "
        "that counts as met"
    )


def _why_not_comparable(best: Best, recipe: Recipe, basis: Basis) -> str:
    """Return why the prediction does not apply to this training; empty if it does."""
    if measured := _measured_otherwise(best, basis):
        return f"this was measured {measured}"
    bench_recipe = Recipe.model_validate(best.recipe)
    if any(getattr(bench_recipe, name) != getattr(recipe, name) for name in STEP_COST):
        return "this was measured with another network, optimizer or compilation"
    if changed := _changed_file(best, recipe, basis.model):
        return f"{changed} has changed since it was measured"
    if _timed_layers(bench_recipe) != _timed_layers(recipe):
        return "this was measured in another phase of the training, since its epochs differ"
    return ""


def _measured_otherwise(best: Best, basis: Basis) -> str:
    """Return where or on what the prediction was measured, if that differs; empty if not."""
    if best.consumer != "train":
        return "without the trainer"
    if best.machine and best.machine != machine(basis.facts):
        return "on another machine"
    if best.rows and basis.rows and best.rows != basis.rows:
        return "on other data"
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
