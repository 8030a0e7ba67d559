"""The division of the stall among its causes, and the bottleneck."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

from pydantic import BaseModel, ConfigDict

from feedbench.bench.diagnose.fit import fitted
from feedbench.bench.diagnose.model import Cause, Model
from feedbench.bench.diagnose.rates import Rates
from feedbench.bench.diagnose.stall import NO_STALL

_MOSTLY_COPYING = 0.8  # share of a step from which on its copy to the device is the bottleneck


class StallPart(BaseModel):
    """The part of the stall that one cause accounts for.

    Attributes:
        cause: what the accelerator waits for.
        stall: share of the accelerator's time, 0 to 1; the shares add up to the stall.
        rate_without: images per second if this cause alone were taken away; None for the
            accelerator and the copy to it.
        stall_without: share of the accelerator's time that would then be lost.
    """

    model_config = ConfigDict(extra="forbid")

    cause: Cause
    stall: float
    rate_without: float | None = None
    stall_without: float | None = None


def stall_parts(rates: Rates) -> list[StallPart]:
    """Divide the stall among its causes, the largest first; the parts add up to the stall.

    A cause's share is the idle time that goes when the cause is taken away. Causes that overlap
    would count twice or not at all, so it is the mean over all orders in which the causes can be
    taken away: the Shapley value.
    """
    model = fitted(rates)
    return sorted((_part(model, cause) for cause in model.causes), key=lambda part: -part.stall)


def _part(model: Model, cause: Cause) -> StallPart:
    without = model.without([cause])
    return StallPart(
        cause=cause,
        stall=_share_s(model, cause) / model.end_to_end_s,
        rate_without=without.rate,
        stall_without=without.idle_s / without.end_to_end_s,
    )


def _share_s(model: Model, cause: Cause) -> float:
    """Return the Shapley value of a cause: idle seconds per image."""
    others = [other for other in model.causes if other != cause]
    mean_s = 0.0
    for size in range(len(others) + 1):
        gains_s = [_gain_s(model, cause, gone) for gone in combinations(others, size)]
        mean_s += sum(gains_s) / comb(len(others), size) / (len(others) + 1)
    return mean_s


def _gain_s(model: Model, cause: Cause, gone: Sequence[Cause]) -> float:
    """Return the idle seconds that go with a cause after some others are gone."""
    return model.without(gone).idle_s - model.without([*gone, cause]).idle_s


def bottleneck(rates: Rates) -> StallPart:
    """Return the largest part of the stall; the accelerator itself if hardly anything is lost.

    If the accelerator is busy but most of a step is the copy of its batch, the bottleneck is the
    transfer.
    """
    if rates.stall >= NO_STALL:
        return stall_parts(rates)[0]
    copying = rates.transfer is not None and rates.consumer >= _MOSTLY_COPYING * rates.transfer
    return StallPart(cause="transfer" if copying else "accelerator", stall=rates.stall)
