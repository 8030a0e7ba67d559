"""The median rates of a diagnosis, in images per second."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from feedbench.bench.diagnose.ceilings import (
    cores_used,
    find_part,
    median_rate,
    with_proven_blocks,
)
from feedbench.bench.diagnose.model import Cause
from feedbench.bench.diagnose.record import DiagnosisRecord, Part
from feedbench.bench.diagnose.stall import stall_of

_STAGES = {  # parts that a loader may lack
    "storage",
    "decoding",
    "transform",
    "batch copy",
    "service workers",
    "network",
}
# Share of the time for which Python's lock is held from which on it is what limits the threads.
_LOCKED = 0.7
# For records without a declaration: a loader that is at most this many times as fast as its parts
# one after the other works in line.
_IN_LINE = 1.25


class Rates(BaseModel):
    """Median rates in images per second, from which causes and predictions are derived.

    A stage that the loader does not have is None.

    Attributes:
        consumer: the consumer alone, fed with synthetic batches.
        loader: the loader alone, with files in the cache state of the diagnosis.
        loader_warm: the loader alone, with warm files.
        end_to_end: loader and consumer together: the consumer's rate without its stall.
        storage: reading, with as many concurrent reads as are fastest.
        storage_warm: the same with warm files.
        decode_serial: decoding on one core.
        decode: decoding on all cores.
        transform_serial: resizing and augmenting on one core.
        transform: resizing and augmenting on all cores.
        copy_serial: copying images into batches on one core.
        copy_all: the same on all cores; None if it was measured on one core only.
        read_wait_s: seconds for which a single read waits, per image.
        warm_wait_s: the same with warm files.
        read_cpu_s: CPU seconds of a read.
        loader_cores: CPU cores in use while the loader ran alone.
        cores: CPU cores of the machine.
        workers: threads or processes that read and prepare images; None if unknown.
        most_workers: most of these that the settings allow on any number of cores; None if more
            cores have more of them, or if unknown.
        copies_apart: whether batches are copied on one thread beside the workers.
        locked: share of the time for which Python's lock was held; None if it was not measured.
        transfer: copying batches to the device; None if it was not measured.
        service: the workers of a tf.data service, without sending what they make.
        network: batches of that service that were made before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    consumer: float
    loader: float
    loader_warm: float
    end_to_end: float
    storage: float | None = None
    storage_warm: float | None = None
    decode_serial: float | None = None
    decode: float | None = None
    transform_serial: float | None = None
    transform: float | None = None
    copy_serial: float | None = None
    copy_all: float | None = None
    read_wait_s: float = 0.0
    warm_wait_s: float = 0.0
    read_cpu_s: float = 0.0
    loader_cores: float
    cores: int
    workers: int | None = None
    most_workers: int | None = None
    copies_apart: bool = False
    locked: float | None = None
    transfer: float | None = None
    service: float | None = None
    network: float | None = None

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the loader uses per image."""
        return self.loader_cores / self.loader

    @property
    def cores_used(self) -> int:
        """Number of cores that the loader's workers can use."""
        return min(self.workers or self.cores, self.cores)

    @property
    def growth(self) -> float:
        """How many times as many cores the workers can use if there are twice as many."""
        if self.most_workers is None:
            return 2.0
        return max(1.0, min(self.most_workers, 2 * self.cores) / self.cores_used)

    @property
    def remainder(self) -> Cause:
        """The cause that stands for the time that no part explains."""
        return "Python" if self.locked is not None and self.locked >= _LOCKED else "unexplained"

    @property
    def stall(self) -> float:
        """Share of the consumer's time that is lost end to end, at least 0."""
        return max(0.0, 1 - self.end_to_end / self.consumer)

    def on_workers(self, serial: float, parallel: float | None) -> float:
        """Return the rate of a part on the cores that the workers use.

        Args:
            serial: its rate on one core.
            parallel: its rate on all cores; None if it was not measured.
        """
        if parallel is None or self.cores == 1:
            return serial * self.cores_used
        return serial + (parallel - serial) * (self.cores_used - 1) / (self.cores - 1)


def rates_of(record: DiagnosisRecord) -> Rates | None:
    """Return the median rates; None if a part that should have been measured has no block."""
    stall, loader = stall_of(record), find_part(record, "loader", record.cache_state)
    consumer = find_part(record, "consumer")
    measured = {part.name for part in record.parts if part.name in _STAGES}
    missing = [name for name in measured if find_part(record, name) is None]
    if stall is None or loader is None or consumer is None or missing:
        return None
    warm = find_part(record, "loader", "warm") or loader
    rates = Rates(
        consumer=median_rate(consumer),
        loader=median_rate(loader),
        loader_warm=median_rate(warm),
        end_to_end=median_rate(consumer) * (1 - stall.value),
        loader_cores=cores_used(with_proven_blocks(loader).blocks),
        cores=record.cores,
        workers=record.workers,
        most_workers=record.most_workers,
        copies_apart=record.copies_apart,
        locked=record.locked,
        transfer=_rate(find_part(record, "transfer")),
        service=_rate(find_part(record, "service workers")),
        network=_rate(find_part(record, "network")),
        **_compute_rates(record),
        **_storage_rates(record),
    )
    return rates if record.workers else rates.model_copy(update=_inferred(rates))


def _compute_rates(record: DiagnosisRecord) -> dict[str, float | None]:
    cores = record.cores
    return {
        "decode_serial": _rate(find_part(record, "decoding", parallel=1)),
        "decode": _rate(find_part(record, "decoding", parallel=cores)),
        "transform_serial": _rate(find_part(record, "transform", parallel=1)),
        "transform": _rate(find_part(record, "transform", parallel=cores)),
        "copy_serial": _rate(find_part(record, "batch copy", parallel=1)),
        "copy_all": _rate(find_part(record, "batch copy", parallel=cores)),
    }


def _storage_rates(record: DiagnosisRecord) -> dict[str, float | None]:
    state = record.cache_state
    if (best := find_part(record, "storage", state)) is None:
        return {}
    single = find_part(record, "storage", state, 1) or best
    warm = find_part(record, "storage", "warm", 1) or single
    return {
        "storage": median_rate(best),
        "storage_warm": median_rate(find_part(record, "storage", "warm") or best),
        "read_wait_s": _wait_s(single),
        "warm_wait_s": _wait_s(warm),
        "read_cpu_s": _cpu_s(warm),
    }


def _cpu_s(single: Part) -> float:
    """Return the CPU seconds of one read, at most the time that it takes."""
    rate = median_rate(single)
    return min(1.0, cores_used(with_proven_blocks(single).blocks)) / rate


def _wait_s(single: Part) -> float:
    return 1 / median_rate(single) - _cpu_s(single)


def _rate(part: Part | None) -> float | None:
    return None if part is None else median_rate(part)


def _inferred(rates: Rates) -> dict[str, int]:
    """Return how a loader works that does not say: as its rate suggests."""
    parts = (rates.decode_serial, rates.transform_serial, rates.copy_serial)
    work_s = sum(1 / rate for rate in parts if rate is not None)
    serial_s = work_s + rates.read_wait_s + rates.read_cpu_s
    return {"workers": 1} if work_s and rates.loader * serial_s <= _IN_LINE else {}
