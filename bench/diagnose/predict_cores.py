"""Predictions of the rate with more cores, or with all cores in use."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from feedbench.bench.diagnose.fit import part_seconds
from feedbench.bench.diagnose.model import Cause, Model
from feedbench.bench.diagnose.prediction import Prediction, predict
from feedbench.bench.diagnose.rates import Rates
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.quantities import quantity

_CORES_BUSY = 0.75  # share of all cores in use from which on they may limit the loader
_NARROW_RANGE = 0.02  # a range whose ends differ less than this is not worth mentioning
_ACCELERATORS = (1, 2, 4, 8)


class CoresNeeded(BaseModel):
    """The number of cores that keep this many accelerators of the same kind busy.

    Attributes:
        accelerators: how many.
        cores: CPU cores that they need.
    """

    model_config = ConfigDict(extra="forbid")

    accelerators: int
    cores: int


def shares_cores(record: DiagnosisRecord) -> bool:
    """Return whether the consumer runs on the cores that prepare its batches."""
    return record.consumer == "train" and not record.on_gpu


def uses_the_cores(rates: Rates) -> bool:
    """Return whether the loader alone keeps nearly all cores busy, so that it can use more."""
    return rates.loader_cores >= _CORES_BUSY * rates.cores


def gains_from_cores(rates: Rates) -> bool:
    """Return whether the loader can use more cores: all are busy, and it may have more workers."""
    return uses_the_cores(rates) and rates.growth > 1


def cores_needed(record: DiagnosisRecord, rates: Rates) -> list[CoresNeeded] | None:
    """Return the cores needed for 1 to 8 accelerators.

    None if the consumer is not one, or if the loader does not even use the cores that there are, or
    would not use more.
    """
    if record.consumer == "drain" or shares_cores(record) or not gains_from_cores(rates):
        return None
    one = rates.consumer / max(1, len(record.devices))
    return [
        CoresNeeded(accelerators=count, cores=ceil(count * one * rates.cpu_s))
        for count in _ACCELERATORS
    ]


def all_cores(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    """Predict the rate of a loader that runs the parts in parallel on all cores.

    None if the loader already does, or if nothing is decoded.
    """
    free_to_run = rates.remainder != "Python" and rates.cores_used == record.cores
    if record.cores < 2 or rates.decode is None or free_to_run:
        return None
    work_s = part_seconds(rates.model_copy(update={"workers": record.cores}))
    reads_s = model.storage_s * (rates.workers or 1) / record.cores
    fastest_s = 1 / rates.storage if rates.storage else 0.0
    parallel = replace(
        model,
        work_s=work_s,
        storage_s=min(model.storage_s, max(reads_s, fastest_s)),
        copy_s=0.0,
    )
    return predict(
        model,
        "all cores decode",
        f"workers, or a loader with its own threads, prepare images on {record.cores} cores",
        min(parallel, model, key=lambda one: one.loader_s),
        "nothing is lost between the parts or to locks: an upper bound; bench measures it",
    )


def twice_the_cores(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    """Predict the rate with twice the cores; None if no part was measured on one and all cores.

    The CPU's share of an image's time shrinks as far as decoding was measured to scale with the
    cores, or another part if nothing is decoded. Whether the time that no part explains (calls,
    locks, a runtime's own work) scales too is unknown: the prediction assumes half of it does, its
    range none and all of it. A trainer on the same cores has twice as many, too.
    """
    consumer_s = model.consumer_s / 2 if shares_cores(record) else model.consumer_s
    changed = model.with_consumer(consumer_s)
    how = f"{2 * record.cores} cores instead of {record.cores}"
    if not gains_from_cores(rates):
        return predict(model, "twice the cores", how, changed, _why_no_gain(rates))
    scaling = _scaling(record, rates)
    if scaling is None:
        return None
    slow_s, fast_s = _work_range(rates, model, scaling)
    slow, middle, fast = (
        _with_all_work(changed, work_s) for work_s in (slow_s, (slow_s + fast_s) / 2, fast_s)
    )
    assumes = _assumption(record, scaling, fast.rate / slow.rate)
    prediction = predict(model, "twice the cores", how, middle, assumes)
    return prediction.model_copy(update={"low": slow.rate, "high": fast.rate})


def _why_no_gain(rates: Rates) -> str:
    if not uses_the_cores(rates):
        return (
            f"this loader kept {rates.loader_cores:.1f} of {quantity(rates.cores, 'core')} busy, "
            "so it does not gain from more"
        )
    if rates.most_workers == 1:
        return "this loader works on one image at a time, so it does not gain from more"
    return f"this loader has {rates.most_workers} workers, so it does not gain from more"


class _Scaling(NamedTuple):
    """How well a part scales: its rate on all cores, over one core's rate and the cores."""

    part: Cause
    efficiency: float


def _scaling(record: DiagnosisRecord, rates: Rates) -> _Scaling | None:
    """Return the scaling of the first part that was measured on one core and on all."""
    measured: tuple[tuple[Cause, float | None, float | None], ...] = (
        ("decoding", rates.decode_serial, rates.decode),
        ("transform", rates.transform_serial, rates.transform),
        ("batch copy", rates.copy_serial, rates.copy_all),
    )
    for part, serial, parallel in measured:
        if serial is not None and parallel is not None:
            return _Scaling(part, min(1.0, parallel / serial / record.cores))
    return None


def _work_range(rates: Rates, model: Model, scaling: _Scaling) -> tuple[float, float]:
    """Return the work per image if none, and if all, of the unexplained time scales."""
    work_s = sum(model.work_s.values())
    waiting_s = max(0.0, work_s - rates.cpu_s / rates.cores)
    busy_s = work_s - waiting_s
    unexplained_s = min(busy_s, model.work_s.get(rates.remainder, 0.0))
    speedup = max(1.0, rates.growth * scaling.efficiency)
    slow_s = waiting_s + unexplained_s + (busy_s - unexplained_s) / speedup
    return slow_s, waiting_s + busy_s / speedup


def _with_all_work(model: Model, work_s: float) -> Model:
    """Return the model with a total of the work; one thread that copies is no faster."""
    factor = work_s / sum(model.work_s.values())
    scaled = {cause: part_s * factor for cause, part_s in model.work_s.items()}
    return replace(model, work_s=scaled)


def _assumption(record: DiagnosisRecord, scaling: _Scaling, spread: float) -> str:
    if record.cores > 1:
        assumes = (
            f"each new core adds {scaling.efficiency:.0%} of a core, as measured for {scaling.part}"
        )
    else:
        assumes = f"the new core is as fast as this one, and {scaling.part} scales to both"
    if spread < 1 + _NARROW_RANGE:
        return assumes
    return f"{assumes}; half of the unexplained time scales too (range: none to all of it)"
