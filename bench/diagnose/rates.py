"""The median rates of a diagnosis, and where the loader's time per image goes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from feedbench.bench.diagnose.ceilings import (
    cores_used,
    find_part,
    median_rate,
    with_proven_blocks,
)
from feedbench.bench.diagnose.record import DiagnosisRecord, Part

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
_STAGES = {"storage", "decode", "transform", "assemble"}  # parts that a loader may lack
# A loader up to this many times as fast as its parts one after the other does not overlap them.
_SEQUENTIAL = 1.25


class Rates(BaseModel):
    """Median rates in images per second, from which causes and predictions are derived.

    A stage that the loader does not have is None.

    Attributes:
        consumer: the consumer alone, fed with synthetic batches.
        loader: the loader alone, with files in the cache state of the diagnosis.
        loader_warm: the loader alone, with warm files.
        end_to_end: loader and consumer together.
        storage_serial: reading, one file at a time.
        storage: reading, with as many concurrent reads as are fastest.
        decode_serial: decoding on one core.
        decode: decoding on all cores.
        transform_serial: resizing and augmenting on one core.
        transform: resizing and augmenting on all cores.
        assemble_serial: copying images into batches on one core.
        assemble: copying images into batches on as many cores as the loader uses for it.
        loader_cores: CPU cores in use while the loader ran alone.
        transfer: copying batches to the device; None if it was not measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    consumer: float
    loader: float
    loader_warm: float
    end_to_end: float
    storage_serial: float | None
    storage: float | None
    decode_serial: float | None
    decode: float | None
    transform_serial: float | None
    transform: float | None
    assemble_serial: float | None
    assemble: float | None
    loader_cores: float
    transfer: float | None = None

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the loader uses per image."""
        return self.loader_cores / self.loader

    @property
    def cold_s(self) -> float:
        """Seconds per image that cold files take longer than warm ones."""
        return max(0.0, 1 / self.loader - 1 / self.loader_warm)

    @property
    def sequential(self) -> bool:
        """Whether the loader is no faster than its parts one after the other on one core."""
        seconds = sum(_sequential_seconds(self).values())
        return bool(seconds) and self.loader <= _SEQUENTIAL / seconds

    @property
    def remainder(self) -> Cause:
        """The cause that stands for the time that no part explains."""
        measured = (self.decode, self.transform, self.assemble)
        return "unexplained" if measured == (None, None, None) else "Python"

    @property
    def overlap(self) -> float:
        """End-to-end rate divided by the slower of loader and consumer; 1: no interference."""
        return min(1.0, self.end_to_end / min(self.loader, self.consumer))

    @property
    def stall(self) -> float:
        """Share of the consumer's time that is lost end to end, at least 0."""
        return max(0.0, 1 - self.end_to_end / self.consumer)


def rates_of(record: DiagnosisRecord) -> Rates | None:
    """Return the median rates; None if a part that should have been measured has no block."""
    needed = _needed_parts(record)
    parts = {name: part for name, part in needed.items() if part is not None}
    measured_names = {part.name for part in record.parts}
    absent = {name for name in needed if name.removesuffix("_serial") in _STAGES - measured_names}
    if len(parts) + len(absent) < len(needed):
        return None
    transfer = find_part(record, "transfer")
    return Rates(
        **{name: median_rate(part) for name, part in parts.items()},
        **dict.fromkeys(absent),
        loader_cores=cores_used(with_proven_blocks(parts["loader"]).blocks),
        transfer=None if transfer is None else median_rate(transfer),
    )


def _needed_parts(record: DiagnosisRecord) -> dict[str, Part | None]:
    """Return the part behind each field of `Rates`; None where it has no counted block."""
    state = record.cache_state
    loader = find_part(record, "loader", state)
    return {
        "consumer": find_part(record, "consumer"),
        "loader": loader,
        "loader_warm": find_part(record, "loader", "warm") or loader,
        "end_to_end": find_part(record, "end to end"),
        "storage_serial": find_part(record, "storage", state, 1),
        "storage": find_part(record, "storage", state),
        "decode_serial": find_part(record, "decode", parallel=1),
        "decode": find_part(record, "decode", parallel=record.cores),
        "transform_serial": find_part(record, "transform", parallel=1),
        "transform": find_part(record, "transform", parallel=record.cores),
        "assemble_serial": find_part(record, "assemble", parallel=1),
        "assemble": find_part(record, "assemble"),
    }


def image_seconds(rates: Rates) -> dict[Cause, float]:
    """Return the loader's seconds per image by cause; they add up to its time per image.

    A loader that is no faster than its parts one after the other runs them one after the other.
    Any other is limited by the slower of storage and CPU. The time that neither explains is
    attributed to Python: locks, calls, handing batches over. Stages that the loader does not have
    are not among the causes.
    """
    if rates.sequential:
        seconds = _sequential_seconds(rates)
        limit = sum(seconds.values())
    else:
        seconds = _parallel_seconds(rates)
        storage = seconds.get("storage", 0.0)
        cpu = sum(seconds.values()) - storage
        limit = max(storage, cpu)
        if storage and storage < cpu:
            seconds["storage"] = rates.cold_s
    seconds[rates.remainder] = max(0.0, 1 / rates.loader - limit)
    return seconds


def _sequential_seconds(rates: Rates) -> dict[Cause, float]:
    """Seconds per image of each part on one core, with one read at a time."""
    seconds = _seconds_by_cause(
        rates.storage_serial, rates.decode_serial, rates.transform_serial, rates.assemble_serial
    )
    if "storage" in seconds:
        seconds["storage"] = max(seconds["storage"], rates.cold_s)
    return seconds


def _parallel_seconds(rates: Rates) -> dict[Cause, float]:
    """Seconds per image of each part on all cores, with concurrent reads."""
    return _seconds_by_cause(rates.storage, rates.decode, rates.transform, rates.assemble)


def _seconds_by_cause(
    storage: float | None, decode: float | None, transform: float | None, assemble: float | None
) -> dict[Cause, float]:
    rates: dict[Cause, float | None] = {
        "storage": storage,
        "decoding": decode,
        "transformation": transform,
        "batch copy": assemble,
    }
    return {cause: 1 / rate for cause, rate in rates.items() if rate is not None}
