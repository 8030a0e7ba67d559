"""What loading an image costs, as measured on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt

from feedbench.bench.analysis.contention import busy_text
from feedbench.bench.consumers.device import CPU
from feedbench.bench.diagnose.ceilings import cores_used, find_part, median_rate, with_proven_blocks
from feedbench.bench.diagnose.certainty import busy
from feedbench.bench.diagnose.rates import rates_of
from feedbench.bench.diagnose.record import DiagnosisRecord, PartName
from feedbench.bench.errors import PlanError
from feedbench.bench.limits.limits import ColdReads
from feedbench.bench.record import Block, Trial

_STAGES: tuple[PartName, ...] = ("decoding", "transform", "batch copy")
_BUSY = 0.75  # of the cores in use from which on the rest is what the loader loses on them
Kept = Literal["files", "pixels"]
_KEPT: dict[str, Kept] = {"encoded": "files", "decoded": "pixels"}  # by the setting `cache`


class Span(BaseModel):
    """A figure with the lowest and the highest that it may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    likely: NonNegativeFloat
    low: NonNegativeFloat
    high: NonNegativeFloat

    def times(self, factor: float) -> Span:
        """Return the figure and its ends, multiplied."""
        return Span(likely=self.likely * factor, low=self.low * factor, high=self.high * factor)

    @classmethod
    def exactly(cls, value: float) -> Self:
        """Return a figure without a range."""
        return cls(likely=value, low=value, high=value)

    @classmethod
    def over(cls, values: Sequence[float]) -> Self:
        """Return the median of some figures, from the lowest to the highest."""
        return cls(likely=median(values), low=min(values), high=max(values))


class Costs(BaseModel):
    """Costs of one loader per image.

    Attributes:
        loader: name and settings.
        cores: of the machine that was measured.
        cores_used: by the loader alone.
        cpu_s: CPU seconds per image, of all processes of the loader.
        rate: images per second of the loader alone, in one process.
        stages: CPU seconds per image of each part on one core; empty if they were not measured.
        bytes_per_value: of a batch's images: 1 for uint8, 4 for float32.
        cold_rate: images per second that the storage delivers, files not in memory; None if
            unknown.
        file_bytes: mean size of the files that were measured; None if unknown.
        read_wait_s: seconds for which one read of the storage waits; None if unknown.
        most_workers: threads or processes that the settings allow a loader on any number of cores;
            None if more cores have more, or if unknown.
        kept: what the loader keeps in memory from its first epoch on; None if nothing. All other
            costs are those of a full cache.
        notes: what must be known of the measurement.
        busy: how much of the machine other programs used meanwhile; empty if hardly any or unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loader: str
    image_size: PositiveInt
    batch_size: PositiveInt
    cores: PositiveInt
    cores_used: PositiveFloat
    cpu_s: Span
    rate: Span
    stages: dict[str, float] = {}
    bytes_per_value: PositiveInt = 1
    cold_rate: float | None = None
    file_bytes: PositiveFloat | None = None
    read_wait_s: float | None = None
    most_workers: PositiveInt | None = None
    kept: Kept | None = None
    notes: list[str] = []
    busy: str = ""

    @property
    def efficiency(self) -> float:
        """Share of all cores that the loader can use; 1 if it was not even near to that."""
        return min(1.0, self.cores_used / self.cores) if self.fills_cores else 1.0

    @property
    def fills_cores(self) -> bool:
        """Whether the loader used enough cores that the unused rest counts as its loss."""
        return self.cores_used / self.cores >= _BUSY


def costs_of_diagnosis(record: DiagnosisRecord, bytes_per_value: int = 1) -> Costs:
    """Return the costs from the parts of a diagnosis.

    Raises:
        PlanError: the loader alone was not measured.
    """
    part = find_part(record, "loader", "warm") or find_part(record, "loader")
    if part is None:
        raise PlanError("--from: the diagnosis has no block of the loader alone; measure it again")
    blocks = with_proven_blocks(part).blocks
    rates, cold = rates_of(record), find_part(record, "storage", "cold")
    return Costs(
        loader=_named(record.loader, record.settings),
        image_size=record.spec["image_size"],
        batch_size=record.spec["batch_size"],
        cores=record.cores,
        cores_used=cores_used(blocks),
        cpu_s=_cpu_s(blocks),
        rate=Span.over([block.images_per_second for block in blocks]),
        stages=_stages(record),
        bytes_per_value=bytes_per_value,
        cold_rate=median_rate(cold) if cold else None,
        file_bytes=record.encoded_bytes / record.images or None,
        read_wait_s=rates.read_wait_s if rates and cold and record.cache_state == "cold" else None,
        most_workers=record.most_workers,
        kept=_KEPT.get(str(record.settings.get("cache"))),
        notes=_prepared_notes(record.loader, record.settings),
        busy=busy(record),
    )


def costs_of_trial(
    trial: Trial,
    cores: int,
    cold: Sequence[ColdReads] = (),
    bytes_per_value: int = 1,
    most_workers: int | None = None,
) -> Costs:
    """Return the costs from the blocks of a bench, or of the limits of a machine.

    Args:
        cores: of the machine.
        cold: reads from the storage, if they were measured.
        most_workers: as in `Costs`.

    Raises:
        PlanError: the trial says nothing of the loader alone.
    """
    name = _named(trial.loader, trial.settings)
    if not trial.blocks:
        raise PlanError(f"--from: {name} has no timed block")
    if trial.consumer == "train" and trial.device in (None, CPU):
        raise PlanError(
            f"--from: {name} was timed with a trainer on the same cores, so its own CPU time is "
            "not known; give a diagnosis, or a bench with --consumer drain"
        )
    best = max(cold, key=lambda reads: median(reads.rates), default=None)
    single = next((reads for reads in cold if reads.depth == 1), None)
    return Costs(
        loader=name,
        image_size=trial.spec["image_size"],
        batch_size=trial.spec["batch_size"],
        cores=cores,
        cores_used=cores_used(trial.blocks),
        cpu_s=_cpu_s(trial.blocks),
        rate=Span.over([block.images_per_second for block in trial.blocks]),
        bytes_per_value=bytes_per_value,
        cold_rate=median(best.rates) if best else None,
        file_bytes=best.bytes_per_image if best else None,
        read_wait_s=1 / median(single.rates) if single else None,
        most_workers=most_workers,
        kept=_KEPT.get(str(trial.settings.get("cache"))),
        notes=[*_trial_notes(trial), *_prepared_notes(trial.loader, trial.settings)],
        busy=busy_text([trial]),
    )


def _trial_notes(trial: Trial) -> list[str]:
    if trial.consumer == "drain":
        return []
    return [
        f"The loader was timed with the consumer {trial.consumer}, so its rate alone may be "
        "higher, and its CPU time includes passing batches on."
    ]


def _prepared_notes(loader: str, settings: Mapping[str, object]) -> list[str]:
    """Say so if a loader reads images that were prepared on the disk."""
    if settings.get("cache") not in ("disk", "packed") and "pack" not in settings:
        return []
    return [
        f"{loader} reads prepared images, but the storage figures are those of the original files."
    ]


def _cpu_s(blocks: Sequence[Block]) -> Span:
    return Span.over([block.cpu_s / block.images for block in blocks])


def _stages(record: DiagnosisRecord) -> dict[str, float]:
    rates = rates_of(record)
    if rates is None:
        return {}
    reading = {"reading": rates.read_cpu_s} if rates.storage else {}
    parts = {name: find_part(record, name, parallel=1) for name in _STAGES}
    return reading | {
        name: _cpu_s(with_proven_blocks(part).blocks).likely for name, part in parts.items() if part
    }


def _named(loader: str, settings: dict[str, object]) -> str:
    return " ".join([loader, *(f"{name}={value}" for name, value in settings.items())])
