"""The stall, its division among the causes, and the bottleneck."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.diagnose.ceilings import find_part, with_proven_blocks
from feedbench.bench.diagnose.rates import Cause, Rates, image_seconds
from feedbench.bench.diagnose.record import DiagnosisRecord

NO_STALL = 0.05  # a consumer that loses a smaller share of its time than this counts as busy
_MOSTLY_COPYING = 0.8  # share of a step from which on its copy to the device is the bottleneck


class StallPart(BaseModel):
    """The part of the stall that one cause accounts for.

    Attributes:
        cause: what the accelerator waits for.
        stall: share of the accelerator's time, 0 to 1.
    """

    model_config = ConfigDict(extra="forbid")

    cause: Cause
    stall: float


def stall_of(record: DiagnosisRecord) -> Estimate | None:
    """Return the share of the consumer's time that is lost end to end, from paired blocks.

    None if the consumer alone and end to end were never measured in the same round.
    """
    end_to_end, alone = find_part(record, "end to end"), find_part(record, "consumer")
    if end_to_end is None or alone is None:
        return None
    ratio = paired_ratio(with_proven_blocks(end_to_end).rates, with_proven_blocks(alone).rates)
    if ratio is None:
        return None
    if ratio.low is None or ratio.high is None:
        return Estimate(value=1 - ratio.value)
    return Estimate(value=1 - ratio.value, low=1 - ratio.high, high=1 - ratio.low)


def stall_parts(rates: Rates) -> list[StallPart]:
    """Divide the stall among its causes, the largest first; the parts add up to the stall.

    Loader against consumer gives the loader's share, which is divided in proportion to the time
    that its parts take per image. End to end against the slower of both gives interference.
    """
    preparation = min(rates.stall, max(0.0, 1 - rates.loader / rates.consumer))
    seconds = image_seconds(rates)
    total_s = sum(seconds.values())
    parts = [
        StallPart(cause=cause, stall=preparation * part_s / total_s)
        for cause, part_s in seconds.items()
    ]
    parts.append(StallPart(cause="interference", stall=rates.stall - preparation))
    return sorted(parts, key=lambda part: -part.stall)


def bottleneck(rates: Rates) -> StallPart:
    """Return the largest part of the stall; the accelerator itself if hardly anything is lost.

    If the accelerator is busy but most of a step is the copy of its batch, the bottleneck is the
    transfer.
    """
    if rates.stall >= NO_STALL:
        return stall_parts(rates)[0]
    copying = rates.transfer is not None and rates.consumer >= _MOSTLY_COPYING * rates.transfer
    return StallPart(cause="transfer" if copying else "accelerator", stall=rates.stall)
