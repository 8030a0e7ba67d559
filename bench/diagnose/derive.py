"""From the record of a diagnosis to its ceilings, its causes and its verdict: pure functions."""

from __future__ import annotations

from statistics import median
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval, paired_ratio
from feedbench.bench.diagnose.record import Diagnosed, Part, PartName
from feedbench.bench.record import Block
from feedbench.bench.trials.cache_state import unproven_reason

Cause = Literal[
    "storage",
    "decoding",
    "transformation",
    "batch copy",
    "Python",
    "unexplained",
    "interference",
    "transfer",
    "accelerator",
]
_COPYING = 0.8  # of a step's time, from which the copy to the device holds the accelerator up
NO_STALL = 0.05  # of the time, below which the consumer counts as busy
_STAGES = {"storage", "decode", "transform", "assemble"}  # parts that a loader may not have
_IN_LINE = 1.25  # times the rate of all parts one after the other, up to which nothing overlaps


class Ceiling(BaseModel):
    """One part's rate with everything else taken away.

    Attributes:
        parallel: cores, or reads under way at once.
        settings: where they are not those that are diagnosed.
        bytes_per_second: where bytes move.
        cores: of processor time that were in use.
        unproven: why blocks were left out, one reason each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: PartName
    cache_state: str | None = None
    parallel: int | None = None
    settings: dict[str, Any] | None = None
    images_per_second: Estimate | None = None
    bytes_per_second: float | None = None
    cores: float | None = None
    blocks: int = 0
    unproven: list[str] = []
    error: str | None = None


class Share(BaseModel):
    """How much of the accelerator's time one cause takes."""

    model_config = ConfigDict(extra="forbid")

    cause: Cause
    stall: float


class Rates(BaseModel):
    """What the causes and all predictions rest on: medians, images a second.

    Attributes:
        consumer: the consumer alone.
        loader: the loader drained, in the state of the diagnosis.
        loader_warm: the same with warm files.
        whole: end to end.
        storage_one, storage: reading, one file at once and as many as are fastest.
        decode_one, decode, transform_one, transform: on one core and on all.
        assemble_one, assemble: batches, on one core and on as many as the loader uses for it.
            Of storage and these, None where the loader has no such stage.
        loader_cores: in use while it was drained.
        transfer: batches copied to the device; None where that was not measured.
    """

    model_config = ConfigDict(extra="forbid")

    consumer: float
    loader: float
    loader_warm: float
    whole: float
    storage_one: float | None
    storage: float | None
    decode_one: float | None
    decode: float | None
    transform_one: float | None
    transform: float | None
    assemble_one: float | None
    assemble: float | None
    loader_cores: float
    transfer: float | None = None

    @property
    def cpu_s(self) -> float:
        """Processor seconds that the loader takes for an image."""
        return self.loader_cores / self.loader

    @property
    def storage_s(self) -> float:
        """Seconds that cold files add to an image's time, against warm ones."""
        return max(0.0, 1 / self.loader - 1 / self.loader_warm)

    @property
    def in_line(self) -> bool:
        """Whether the loader is no faster than its parts one after the other on one core."""
        seconds = sum(_one_after_the_other(self).values())
        return bool(seconds) and self.loader <= _IN_LINE / seconds

    @property
    def rest(self) -> Cause:
        """What the time is called that none of the parts explains."""
        known = (self.decode, self.transform, self.assemble)
        return "unexplained" if known == (None, None, None) else "Python"

    @property
    def overlap(self) -> float:
        """Rate end to end over the smaller of loader and consumer alone; 1 is no interference."""
        return min(1.0, self.whole / min(self.loader, self.consumer))


def proven(part: Part) -> Part:
    """The part with only those blocks that were in the cache state that it asks for."""
    kept = [block for block in part.blocks if not _why(part, block)]
    return part.model_copy(update={"blocks": kept})


def _why(part: Part, block: Block) -> str | None:
    return unproven_reason(part.cache_state, block.disk_read_bytes, block.consumed_bytes)


def ceilings(record: Diagnosed) -> list[Ceiling]:
    """Every part's figures, in the order in which an image passes through them."""
    return [_ceiling(part) for part in record.parts]


def _ceiling(part: Part) -> Ceiling:
    blocks = proven(part).blocks
    rate = median_interval([block.images_per_second for block in blocks]) if blocks else None
    moved = part.moved_bytes
    return Ceiling(
        name=part.name,
        cache_state=part.cache_state,
        parallel=part.parallel,
        settings=part.settings,
        images_per_second=rate,
        bytes_per_second=rate.value * moved if rate and moved is not None else None,
        cores=_cores(blocks) if blocks else None,
        blocks=len(blocks),
        unproven=[reason for block in part.blocks if (reason := _why(part, block))],
        error=part.error,
    )


def _cores(blocks: list[Block]) -> float:
    """Processor seconds per second."""
    return sum(block.cpu_s for block in blocks) / sum(block.seconds for block in blocks)


def find_part(
    record: Diagnosed, name: PartName, state: str | None = None, parallel: int | None = None
) -> Part | None:
    """The part with counted blocks that matches; of several the fastest. None without any."""
    able = [
        part
        for part in record.parts
        if part.name == name
        and (state is None or part.cache_state == state)
        and (parallel is None or part.parallel == parallel)
        and proven(part).blocks
    ]
    return max(able, key=_median, default=None)


def _median(part: Part) -> float:
    return median(block.images_per_second for block in proven(part).blocks)


def rates_of(record: Diagnosed) -> Rates | None:
    """The medians; None where a part that they need has no counted block."""
    state = record.cache_state
    found = {
        "consumer": find_part(record, "consumer"),
        "loader": find_part(record, "loader", state),
        "loader_warm": find_part(record, "loader", "warm") or find_part(record, "loader", state),
        "whole": find_part(record, "end to end"),
        "storage_one": find_part(record, "storage", state, 1),
        "storage": find_part(record, "storage", state),
        "decode_one": find_part(record, "decode", parallel=1),
        "decode": find_part(record, "decode", parallel=record.cores),
        "transform_one": find_part(record, "transform", parallel=1),
        "transform": find_part(record, "transform", parallel=record.cores),
        "assemble_one": find_part(record, "assemble", parallel=1),
        "assemble": find_part(record, "assemble"),
    }
    parts = {name: part for name, part in found.items() if part is not None}
    copied = find_part(record, "transfer")
    there = {part.name for part in record.parts}
    absent = {name for name in found if name.removesuffix("_one") in _STAGES - there}
    if len(parts) + len(absent) < len(found):
        return None
    return Rates(
        **{name: _median(part) for name, part in parts.items()},
        **dict.fromkeys(absent),
        loader_cores=_cores(proven(parts["loader"]).blocks),
        transfer=None if copied is None else _median(copied),
    )


def stall(record: Diagnosed) -> Estimate | None:
    """Share of the consumer's time lost end to end, of paired blocks; None without a pair."""
    whole, alone = find_part(record, "end to end"), find_part(record, "consumer")
    if whole is None or alone is None:
        return None
    ratio = paired_ratio(proven(whole).rates, proven(alone).rates)
    if ratio is None:
        return None
    return Estimate(value=1 - ratio.value, low=1 - ratio.high, high=1 - ratio.low)


def shares(rates: Rates) -> list[Share]:
    """What the stall is made of, the largest first; they add up to the whole of it.

    Loader against consumer is preparation's share, which is split by the seconds that each part of
    the loader takes for an image; end to end against the smaller of both is interference.
    """
    total = max(0.0, 1 - rates.whole / rates.consumer)
    preparation = min(total, max(0.0, 1 - rates.loader / rates.consumer))
    seconds = image_seconds(rates)
    whole = sum(seconds.values())
    found = [
        Share(cause=cause, stall=preparation * value / whole) for cause, value in seconds.items()
    ]
    found.append(Share(cause="interference", stall=total - preparation))
    return sorted(found, key=lambda share: -share.stall)


def image_seconds(rates: Rates) -> dict[Cause, float]:
    """Seconds of the loader's time for an image, by what it spends them on.

    A loader that is no faster than its parts in a row does them in a row. Of another the slower of
    storage and processors holds it up, and what neither explains is Python's: locks, calls, hand
    over. A part that the loader does not have takes no time and is not among the causes.
    """
    if rates.in_line:
        parts = _one_after_the_other(rates)
        limit = sum(parts.values())
    else:
        parts = _side_by_side(rates)
        storage = parts.get("storage", 0.0)
        work = sum(parts.values()) - storage
        limit = max(storage, work)
        if storage and storage < work:
            parts["storage"] = rates.storage_s
    parts[rates.rest] = max(0.0, 1 / rates.loader - limit)
    return parts


def _one_after_the_other(rates: Rates) -> dict[Cause, float]:
    parts = _seconds(rates.storage_one, rates.decode_one, rates.transform_one, rates.assemble_one)
    if "storage" in parts:
        parts["storage"] = max(parts["storage"], rates.storage_s)
    return parts


def _side_by_side(rates: Rates) -> dict[Cause, float]:
    return _seconds(rates.storage, rates.decode, rates.transform, rates.assemble)


def _seconds(
    storage: float | None, decode: float | None, transform: float | None, assemble: float | None
) -> dict[Cause, float]:
    """Seconds for an image of those parts that have a rate, by cause."""
    rates: dict[Cause, float | None] = {
        "storage": storage,
        "decoding": decode,
        "transformation": transform,
        "batch copy": assemble,
    }
    return {cause: 1 / rate for cause, rate in rates.items() if rate is not None}


def bottleneck(rates: Rates) -> Share:
    """What takes most of the accelerator's time; the accelerator itself where little is lost.

    What batches that cost nothing are held up by is the copy to the device, where that takes most
    of a step's time.
    """
    total = max(0.0, 1 - rates.whole / rates.consumer)
    if total < NO_STALL:
        copying = rates.transfer is not None and rates.consumer >= _COPYING * rates.transfer
        return Share(cause="transfer" if copying else "accelerator", stall=total)
    return shares(rates)[0]
