"""A diagnosis in words: derived whole from its record, and kept beside it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.derive import (
    Ceiling,
    Share,
    bottleneck,
    ceilings,
    rates_of,
    shares,
    stall,
)
from feedbench.bench.diagnose.fixed import Fixed, best_fixed
from feedbench.bench.diagnose.predict import (
    CoresNeeded,
    Prediction,
    cores_needed,
    predictions,
    remedies,
)
from feedbench.bench.diagnose.record import Diagnosed
from feedbench.bench.plan.plan import Choice


class Diagnosis(BaseModel):
    """All that follows from a record.

    Attributes:
        stall: share of the accelerator's time that is lost; the bottleneck causes most of it.
        shares: what it is made of.
        overlap: rate end to end over the smaller of loader and consumer alone, at most 1.
        fixed: the best fixed setting beside AUTOTUNE; None where nothing was left to it.
        cores_needed: to keep accelerators busy; None where the consumer is none.
    """

    model_config = ConfigDict(extra="forbid")

    verdict: str
    bottleneck: Share | None = None
    stall: Estimate | None = None
    shares: list[Share] = []
    ceilings: list[Ceiling]
    predictions: list[Prediction] = []
    overlap: float | None = None
    fixed: Fixed | None = None
    cores_needed: list[CoresNeeded] | None = None


def derive(record: Diagnosed) -> Diagnosis:
    """Every figure and sentence of a record."""
    found = ceilings(record)
    rates, lost = rates_of(record), stall(record)
    if rates is None or lost is None:
        return Diagnosis(verdict=_nothing(found), ceilings=found)
    worst, predicted = bottleneck(rates), predictions(record, rates)
    return Diagnosis(
        verdict=_sentence(record, worst, lost, remedies(predicted)),
        bottleneck=worst,
        stall=lost,
        shares=shares(rates),
        ceilings=found,
        predictions=predicted,
        overlap=rates.overlap,
        fixed=best_fixed(record),
        cores_needed=cores_needed(record, rates),
    )


def _nothing(found: list[Ceiling]) -> str:
    for one in found:
        if reason := one.error or (None if one.blocks else next(iter(one.unproven), None)):
            return f"No verdict: {one.name} could not be measured: {reason}"
    return "No verdict: loader, consumer and both together were not measured in the same rounds"


def _sentence(record: Diagnosed, worst: Share, lost: Estimate, able: list[Prediction]) -> str:
    device = consumer_name(record)
    loader = str(Choice(loader=record.loader, settings=record.settings))
    idle = f"{_not_negative(lost):.0%} of the time"
    if worst.cause == "accelerator":
        said = (
            f"The bottleneck is the accelerator: {device} is kept busy by {loader} and idles only "
            f"{idle}."
        )
    elif worst.cause == "transfer":
        said = (
            f"The bottleneck is the copy to the device: {device} is kept busy by {loader} and "
            f"idles only {idle}, but most of a step is the copy of its batch."
        )
    elif worst.cause == "unexplained":
        said = (
            f"The bottleneck is the loader: with {loader}, {device} idles {idle}; "
            f"{max(0.0, worst.stall):.0%} of its time goes to what cannot be measured alone."
        )
    else:
        said = (
            f"The bottleneck is {worst.cause}: with {loader}, {device} idles {idle}; "
            f"{worst.cause} alone takes {max(0.0, worst.stall):.0%} of its time."
            if worst.cause != "interference"
            else f"The bottleneck is interference: with {loader}, {device} loses {idle}; "
            f"loader and consumer holding each other up takes {max(0.0, worst.stall):.0%} of it."
        )
    return " ".join([said, *_first(able)])


def _first(able: list[Prediction]) -> list[str]:
    if not able:
        return ["No remedy that was looked at is predicted to gain 3 % or more."]
    named = (f"{one.change} (+{one.gain:.0%})" for one in able)
    return [f"Predicted to gain most: {', then '.join(named)}."]


def consumer_name(record: Diagnosed) -> str:
    """What takes the batches, in a few words."""
    if record.accelerator is not None:
        return f"an emulated {record.accelerator['device']}"
    if record.consumer == "train":
        return "the trainer" if record.on_gpu else "the trainer on these cores"
    return record.consumer


def _not_negative(lost: Estimate) -> Estimate:
    """Below 0 is noise: both together were a little faster than the consumer alone."""
    value, low, high = (max(0.0, share) for share in (lost.value, lost.low, lost.high))
    return Estimate(value=value, low=low, high=high)
