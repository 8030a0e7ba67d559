"""Limits of the machine for given images, and the share of them that each loader reaches."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveFloat, field_validator

from feedbench.bench.analysis.estimate import Estimate, Positive
from feedbench.bench.analysis.stats import median_interval, paired_ratio
from feedbench.bench.errors import PlanError, TrialError
from feedbench.bench.files import read_model
from feedbench.bench.limits.scaling import LoaderScaling, scaling_of
from feedbench.bench.limits.scaling_record import OnCores
from feedbench.bench.meters.process import Usage, tree_usage
from feedbench.bench.plan.plan import Choice, Plan, Suite, make_plan
from feedbench.bench.plan.toml import parse_model
from feedbench.bench.record import Trial
from feedbench.bench.trials.cache_state import MIN_COLD, check_cold
from feedbench.bench.trials.internal_loaders import LIBJPEG_TURBO, MEMORY_COPY, register
from feedbench.bench.trials.storage import DEPTHS, Storage
from feedbench.loaders import Manifest, find_loader, parse_settings
from feedbench.loaders.stages import whole_files

_DISK_BLOCKS = 5
_DISK_S = 1.0  # duration of each block, without evicting files
RECORD = "limits-record.json"
_COPY = Choice(loader=MEMORY_COPY.name)


class Limit(BaseModel):
    """The rate of one kind of work when the machine does nothing else.

    Attributes:
        name: the kind of work.
        images_per_second: None if it could not be measured.
        bytes_per_second: bytes read or copied; None for decoding.
        error: why it could not be measured.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    images_per_second: Positive | None = None
    bytes_per_second: float | None = None
    error: str | None = None


class LoaderShare(BaseModel):
    """The rate of a loader whose batches are discarded, relative to its limit.

    Attributes:
        loader: name and settings.
        limit: name of the limit of the work that this loader does.
        images_per_second: None if it could not be measured.
        share: rate divided by the limit's rate, paired by round.
        peak_memory_bytes: of its process tree.
        error: why it could not be measured.
    """

    model_config = ConfigDict(extra="forbid")

    loader: str
    limit: str
    images_per_second: Positive | None = None
    share: Positive | None = None
    peak_memory_bytes: int = 0
    error: str | None = None


class MachineLimits(BaseModel):
    """All limits, and the loaders' shares of them.

    Attributes:
        limits: of decoding, copying and the storage.
        loaders: the share of each loader.
        scaling: how each loader uses more cores; empty if that was not asked for.
    """

    model_config = ConfigDict(extra="forbid")

    limits: list[Limit]
    loaders: list[LoaderShare]
    scaling: list[LoaderScaling] = []


class ColdReads(BaseModel):
    """Reads of whole files from the storage, after eviction, at one queue depth.

    Attributes:
        depth: number of files read at the same time.
        rates: images per second of each block.
        bytes_per_image: mean size of the files.
        disk_share: fraction of the bytes that came from the storage; None if unknown.
    """

    model_config = ConfigDict(extra="forbid")

    depth: int
    rates: list[PositiveFloat]
    bytes_per_image: PositiveFloat
    disk_share: float | None


class LimitsRecord(BaseModel):
    """The raw record of a run, besides its trials.

    Attributes:
        bounds: name of the limit of each loader, by the loader's name and settings.
        disk: reads at each queue depth, or why they could not be measured.
        storage: where the files lie.
        scaling: each loader on one core, on two, and on more, by name and settings; empty if that
            was not asked for.
    """

    model_config = ConfigDict(extra="forbid")

    bounds: dict[str, str]
    disk: list[ColdReads] | str = "interrupted before it was measured"
    storage: Literal["disk", "object storage"] = "disk"
    scaling: dict[str, list[OnCores]] = {}

    @field_validator("scaling")
    @classmethod
    def _on_more_and_more_cores(cls, scaling: dict[str, list[OnCores]]) -> dict[str, list[OnCores]]:
        for name, runs in scaling.items():
            cores = [one.cores for one in runs]
            if cores != sorted(set(cores)):
                raise ValueError(f"{name}: cores must ascend, got {cores}")
        return scaling


def read_limits(folder: Path) -> LimitsRecord:
    """Read the record of a run.

    Raises:
        RecordError: there is none, or it is not valid.
    """
    return read_model(folder / RECORD, LimitsRecord, "limits", is_raw=True)


def limit_of(choice: Choice) -> Choice:
    """Return the limit of a loader: copying if it has decoded images, otherwise decoding."""
    loader = find_loader(choice.loader)
    bound = loader.upper_bound(parse_settings(loader, choice.settings))
    if bound.work == "copy":
        return _COPY
    return _decode("scaled" if bound.scaled else "full", bound.pack)


def _decode(decode: str, pack: str | None = None) -> Choice:
    settings = {"decode": decode} if pack is None else {"decode": decode, "pack": pack}
    return Choice(loader=LIBJPEG_TURBO.name, settings=settings)


def limits_plan(loaders: Iterable[Choice], spec: dict[str, Any], timing: dict[str, Any]) -> Plan:
    """Return a plan that measures all limits and then the loaders.

    Full decoding, scaled decoding and copying are always included.

    Args:
        loaders: with their settings.
        spec: fields of the batch spec.
        timing: fields of the timing.

    Raises:
        PlanError: a field of the timing is not valid.
        LoaderError: a field of the spec is not valid.
    """
    register()
    choices = tuple(loaders)
    limits = [_decode("full"), _decode("scaled"), _COPY, *map(limit_of, choices)]
    unique = {str(choice): choice for choice in (*limits, *choices)}.values()
    trial = [choice.model_dump() for choice in unique]
    values = {"trial": trial, "consumer": "drain", "spec": spec, "timing": timing}
    return make_plan(parse_model(Suite, values, "options"))


def read_cold(manifest: Manifest) -> list[ColdReads] | str:
    """Read whole files from the storage at several queue depths, or say why that cannot be done."""
    try:
        check_cold(manifest)
        storage = Storage(manifest, whole_files(manifest))
        return [_read_at_depth(storage, depth) for depth in DEPTHS]
    except (PlanError, TrialError) as error:
        return str(error)


def _read_at_depth(storage: Storage, depth: int) -> ColdReads:
    rates, total_bytes, images = [], 0, 0
    before = tree_usage()
    for _ in range(_DISK_BLOCKS):
        done = storage.read("cold", depth, _DISK_S)
        rates.append(done.images / done.seconds)
        total_bytes += done.bytes
        images += done.images
    used = tree_usage().since(before)
    return ColdReads(
        depth=depth,
        rates=rates,
        bytes_per_image=total_bytes / images,
        disk_share=_from_storage(used, total_bytes),
    )


def _from_storage(used: Usage, total_bytes: int) -> float | None:
    read = used.read_bytes if used.disk_known else None
    read = read if used.fetched_bytes is None else used.fetched_bytes
    return read / total_bytes if read is not None and total_bytes else None


def derive(trials: list[Trial], record: LimitsRecord) -> MachineLimits:
    """Return limits and shares, derived from the raw records alone."""
    by_name = {trial_name(trial): trial for trial in trials}
    return MachineLimits(
        limits=[
            *(_limit(trial) for name, trial in by_name.items() if name not in record.bounds),
            *_storage_limits(record),
        ],
        loaders=[_share(by_name[name], by_name[limit]) for name, limit in record.bounds.items()],
        scaling=[scaling_of(name, runs) for name, runs in record.scaling.items()],
    )


def trial_name(trial: Trial) -> str:
    """Return the loader with its settings and its own augmentation, as `bounds` names it."""
    return str(Choice(loader=trial.loader, settings=trial.settings, augment=trial.augment))


def _limit(trial: Trial) -> Limit:
    rate = _rate(trial.rates.values())
    image_bytes = 3 * trial.spec["image_size"] ** 2 if trial.loader == MEMORY_COPY.name else None
    return Limit(
        name=trial_name(trial),
        images_per_second=rate,
        bytes_per_second=rate.value * image_bytes if rate and image_bytes else None,
        error=trial.error,
    )


def _storage_limits(record: LimitsRecord) -> list[Limit]:
    if isinstance(record.disk, str):
        return [Limit(name=f"{record.storage}, cold", error=record.disk)]
    return [_storage_limit(record.storage, reads) for reads in record.disk]


def _storage_limit(storage: str, reads: ColdReads) -> Limit:
    rate, share = _rate(reads.rates), reads.disk_share
    warm = share is not None and share < MIN_COLD
    return Limit(
        name=f"{storage}, cold, {reads.depth} at once",
        images_per_second=rate,
        bytes_per_second=rate.value * reads.bytes_per_image if rate else None,
        error=f"only {share:.0%} of the bytes came from the {storage}" if warm else None,
    )


def _share(trial: Trial, limit: Trial) -> LoaderShare:
    return LoaderShare(
        loader=trial_name(trial),
        limit=trial_name(limit),
        images_per_second=_rate(trial.rates.values()),
        share=paired_ratio(trial.rates, limit.rates),
        peak_memory_bytes=trial.peak_memory_bytes,
        error=trial.error,
    )


def _rate(rates: Iterable[float]) -> Estimate | None:
    values = list(rates)
    return median_interval(values) if values else None
