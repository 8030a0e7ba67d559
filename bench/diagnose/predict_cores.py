"""Predictions of the rate with more cores, or with all cores in use."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from feedbench.bench.diagnose.prediction import (
    Prediction,
    predict,
    rate_with,
    seconds_per_image,
)
from feedbench.bench.diagnose.rates import Rates, image_seconds
from feedbench.bench.diagnose.record import DiagnosisRecord

_CORES_BUSY = 0.75  # share of all cores in use from which on they may limit the loader
_NARROW_RANGE = 0.02  # a range whose ends differ less than this is not worth mentioning
_ACCELERATORS = (1, 2, 4, 8)


class CoresNeeded(BaseModel):
    """The number of cores that keep this many accelerators of the same kind busy."""

    model_config = ConfigDict(extra="forbid")

    accelerators: int
    cores: int


def shares_cores(record: DiagnosisRecord) -> bool:
    """Return whether the consumer runs on the cores that prepare its batches."""
    return record.consumer == "train" and not record.on_gpu


def cores_needed(record: DiagnosisRecord, rates: Rates) -> list[CoresNeeded] | None:
    """Return the cores needed for 1 to 8 accelerators; None if the consumer is not one."""
    if record.consumer == "drain" or shares_cores(record):
        return None
    return [
        CoresNeeded(accelerators=count, cores=ceil(count * rates.consumer * rates.cpu_s))
        for count in _ACCELERATORS
    ]


def all_cores(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    """Predict the rate of a loader that runs the parts in parallel on all cores.

    None if the loader already does, if there is only one core, or if nothing is decoded.
    """
    if record.cores < 2 or not rates.sequential or rates.decode is None:
        return None
    copy_s = seconds_per_image(rates.assemble_serial) / record.cores
    cpu_s = 1 / rates.decode + seconds_per_image(rates.transform) + copy_s
    return predict(
        rates,
        "all cores decode",
        f"workers, or a loader with its own threads: {record.cores} cores prepare images",
        max(rates.loader, 1 / max(seconds_per_image(rates.storage), cpu_s)),
        rates.consumer,
        "nothing is lost between the parts or to locks: an upper bound; bench measures it",
    )


def twice_the_cores(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    """Predict the rate with twice the cores; None if no part was measured on one and all cores.

    The CPU's share of an image's time shrinks as far as decoding was measured to scale with the
    cores, or another part if nothing is decoded. Whether the time that no part explains (calls,
    locks, a runtime's own work) scales too is unknown: the prediction assumes half of it does, its
    range none and all of it. A trainer on the same cores has twice as many, too.
    """
    consumer = 2 * rates.consumer if shares_cores(record) else rates.consumer
    how = f"{2 * record.cores} cores instead of {record.cores}"
    if rates.loader_cores < _CORES_BUSY * record.cores:
        assumes = (
            f"this loader kept {rates.loader_cores:.1f} of {record.cores} cores busy, so it does "
            "not gain from more"
        )
        return predict(rates, "twice the cores", how, rates.loader, consumer, assumes)
    scaling = _scaling(record, rates)
    if scaling is None:
        return None
    slow, fast = _loader_range(record, rates, scaling)
    low, high = rate_with(rates, slow, consumer), rate_with(rates, fast, consumer)
    assumes = _assumption(record, scaling, high / low)
    middle = 2 / (1 / slow + 1 / fast)
    prediction = predict(rates, "twice the cores", how, middle, consumer, assumes)
    return prediction.model_copy(update={"low": low, "high": high})


class _Scaling(NamedTuple):
    """How well a part scales: its rate on all cores, over one core's rate and the cores."""

    part: str
    efficiency: float


def _scaling(record: DiagnosisRecord, rates: Rates) -> _Scaling | None:
    """Return the scaling of the first part that was measured on one core and on all."""
    measured = (
        ("decoding", rates.decode_serial, rates.decode),
        ("transformation", rates.transform_serial, rates.transform),
        ("the batch copy", rates.assemble_serial, rates.assemble),
    )
    for part, serial, parallel in measured:
        if serial is not None and parallel is not None:
            return _Scaling(part, min(1.0, parallel / serial / record.cores))
    return None


def _loader_range(record: DiagnosisRecord, rates: Rates, scaling: _Scaling) -> tuple[float, float]:
    """Return the loader's rate if none, and if all, of the unexplained time scales."""
    image_s = 1 / rates.loader
    waiting_s = max(0.0, image_s - rates.loader_cores / record.cores / rates.loader)
    busy_s = image_s - waiting_s
    unexplained_s = min(busy_s, image_seconds(rates)[rates.remainder])
    speedup = max(1.0, 2 * scaling.efficiency)
    slow_s = waiting_s + unexplained_s + (busy_s - unexplained_s) / speedup
    return 1 / slow_s, 1 / (waiting_s + busy_s / speedup)


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
