"""The machine's own limits on some photographs, and what share of them each loader reaches."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval, paired_ratio
from feedbench.bench.errors import PlanError
from feedbench.bench.files import read_model
from feedbench.bench.internal_loaders import LIBJPEG_TURBO, MEMORY_COPY, register
from feedbench.bench.meters.process import tree_usage
from feedbench.bench.plan.plan import Choice, Plan, Suite, make_plan
from feedbench.bench.plan.toml import parse_model
from feedbench.bench.record import Trial
from feedbench.bench.trials.cache_state import LEAST_COLD, check_cold
from feedbench.bench.trials.storage import DEPTHS, Storage
from feedbench.loaders import Manifest, find_loader, parse_settings
from feedbench.loaders.stages.stage import whole_files

_DISK_BLOCKS = 3
_DISK_S = 1.0  # of each block, evicting not counted
RECORD = "limits-record.json"
_COPY = Choice(loader=MEMORY_COPY.name)


class Limit(BaseModel):
    """What the machine does if that is all it does.

    Attributes:
        bytes_per_second: that this moves, None where no such figure makes sense.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    images_per_second: Estimate | None = None
    bytes_per_second: float | None = None
    error: str | None = None


class Share(BaseModel):
    """A loader that nothing takes the batches from, against the limit of what it does.

    Attributes:
        share: its rate over the limit's in blocks of the same round.
    """

    model_config = ConfigDict(extra="forbid")

    loader: str
    limit: str
    images_per_second: Estimate | None = None
    share: Estimate | None = None
    peak_memory_bytes: int = 0
    error: str | None = None


class Limits(BaseModel):
    """All of it."""

    model_config = ConfigDict(extra="forbid")

    limits: list[Limit]
    loaders: list[Share]


class Disk(BaseModel):
    """Whole files read from the disk, evicted before, at one queue depth.

    Attributes:
        rates: images a second, one a block.
        bytes_per_image: mean size of the files that were read.
        disk_share: of the files' bytes, how many the system says came from the disk; None where
            it does not say.
    """

    model_config = ConfigDict(extra="forbid")

    depth: int
    rates: list[float]
    bytes_per_image: float
    disk_share: float | None


class LimitsRecord(BaseModel):
    """What is known beside the trials.

    Attributes:
        bounds: the limit of each loader, both by name.
        disk: or why it could not be measured.
    """

    model_config = ConfigDict(extra="forbid")

    bounds: dict[str, str]
    disk: list[Disk] | str = "interrupted before"


def read_limits(folder: Path) -> LimitsRecord:
    """The record of an earlier run.

    Raises:
        RecordError: there is none, or it is not valid.
    """
    return read_model(folder / RECORD, LimitsRecord, "limits")


def limit_of(choice: Choice) -> Choice:
    """What bounds a loader: copying where its pixels are there already, else decoding."""
    loader = find_loader(choice.loader)
    bound = loader.upper_bound(parse_settings(loader, choice.settings))
    if bound.work == "copy":
        return _COPY
    return _decode("scaled" if bound.scaled else "full", bound.pack)


def _decode(decode: str, pack: str | None = None) -> Choice:
    settings = {"decode": decode} if pack is None else {"decode": decode, "pack": pack}
    return Choice(loader=LIBJPEG_TURBO.name, settings=settings)


def limits_plan(loaders: Iterable[Choice], spec: dict[str, Any], timing: dict[str, float]) -> Plan:
    """The loaders behind all their limits; full and scaled decoding and copying are always there.

    Raises:
        PlanError: a field of the timing is not valid.
        LoaderError: the spec is not.
    """
    register()
    choices = tuple(loaders)
    limits = [_decode("full"), _decode("scaled"), _COPY, *map(limit_of, choices)]
    every = {str(choice): choice for choice in (*limits, *choices)}.values()
    trial = [choice.model_dump() for choice in every]
    values = {"trial": trial, "consumer": "drain", "spec": spec, "timing": timing}
    return make_plan(parse_model(Suite, values, "options"))


def read_cold(manifest: Manifest) -> list[Disk] | str:
    """Whole files from the disk at several queue depths; or why that cannot be measured."""
    try:
        check_cold(manifest)
    except PlanError as error:
        return str(error)
    storage = Storage(manifest, whole_files(manifest))
    return [_read_cold(storage, depth) for depth in DEPTHS]


def _read_cold(storage: Storage, depth: int) -> Disk:
    rates, consumed, images = [], 0, 0
    before = tree_usage()
    for _ in range(_DISK_BLOCKS):
        done = storage.read("cold", depth, _DISK_S)
        rates.append(done.images / done.seconds)
        consumed += done.bytes
        images += done.images
    used = tree_usage().since(before)
    return Disk(
        depth=depth,
        rates=rates,
        bytes_per_image=consumed / images,
        disk_share=used.read_bytes / consumed if used.disk_known and consumed else None,
    )


def derive(trials: list[Trial], record: LimitsRecord) -> Limits:
    """Every figure, from the raw records."""
    every = {_name(trial): trial for trial in trials}
    return Limits(
        limits=[
            *(_limit(trial) for name, trial in every.items() if name not in record.bounds),
            *_disk_limits(record.disk),
        ],
        loaders=[_share(every[name], every[limit]) for name, limit in record.bounds.items()],
    )


def _name(trial: Trial) -> str:
    return str(Choice(loader=trial.loader, settings=trial.settings))


def _limit(trial: Trial) -> Limit:
    rate = _rate(trial.rates.values())
    copied = 3 * trial.spec["image_size"] ** 2 if trial.loader == MEMORY_COPY.name else None
    return Limit(
        name=_name(trial),
        images_per_second=rate,
        bytes_per_second=rate.value * copied if rate and copied else None,
        error=trial.error,
    )


def _disk_limits(disk: list[Disk] | str) -> list[Limit]:
    if isinstance(disk, str):
        return [Limit(name="disk, cold", error=disk)]
    return [_disk_limit(one) for one in disk]


def _disk_limit(disk: Disk) -> Limit:
    rate, share = _rate(disk.rates), disk.disk_share
    warm = share is not None and share < LEAST_COLD
    return Limit(
        name=f"disk, cold, {disk.depth} at once",
        images_per_second=rate,
        bytes_per_second=rate.value * disk.bytes_per_image if rate else None,
        error=f"only {share:.0%} of the bytes came from the disk" if warm else None,
    )


def _share(trial: Trial, limit: Trial) -> Share:
    return Share(
        loader=_name(trial),
        limit=_name(limit),
        images_per_second=_rate(trial.rates.values()),
        share=paired_ratio(trial.rates, limit.rates),
        peak_memory_bytes=trial.peak_memory_bytes,
        error=trial.error,
    )


def _rate(rates: Iterable[float]) -> Estimate | None:
    values = list(rates)
    return median_interval(values) if values else None
