"""The stages of a loader that a diagnosis measures, and how each can be measured."""

from __future__ import annotations

from typing import Literal

import numpy as np

from feedbench.bench.errors import PlanError
from feedbench.bench.record import CacheState
from feedbench.bench.trials.cache_state import Files, check_cold, check_warm
from feedbench.bench.trials.feasibility import check_memory
from feedbench.loaders import BatchSpec, Loader, LoaderError, Manifest, Settings
from feedbench.loaders.stages import Stage, Stages, whole_files

StageName = Literal["decoding", "transform", "batch copy", "service workers", "network"]
OF_SERVICE: tuple[StageName, ...] = ("service workers", "network")


def stages_of(loader: Loader, manifest: Manifest, spec: BatchSpec, settings: Settings) -> Stages:
    """Return the stages of a loader; if it declares none, only the reading of its files.

    Raises:
        LoaderError: the files or packs that it reads do not match the rows or the spec.
    """
    if loader.stages is None:
        return Stages(whole_files(manifest))
    return loader.stages(manifest, spec, settings)


def runs_at(
    image_size: int, loader: Loader, manifest: Manifest, spec: BatchSpec, settings: Settings
) -> bool:
    """Whether a loader can be measured at another image size.

    Not if two batches do not fit into memory, nor with a pack: its images have one size, and a
    cache that is a pack would leave another one behind.
    """
    other = spec.model_copy(update={"image_size": image_size})
    try:
        check_memory(other)
        stages = stages_of(loader, manifest, other, settings)
    except (LoaderError, PlanError):
        return False
    fills_pack = stages.reading is not None and stages.reading.needs_all_rows
    return not (fills_pack and settings.fills_cache)


def compute_stages(stages: Stages) -> list[tuple[StageName, Stage]]:
    """Return the stages that the loader has after reading, in the order an image passes them."""
    named: list[tuple[StageName, Stage | None]] = [
        ("decoding", stages.decode),
        ("transform", stages.transform),
        ("batch copy", stages.batch_copy),
    ]
    if stages.service is not None:
        named += [
            ("service workers", stages.service.workers),
            ("network", stages.service.network),
        ]
    return [(name, stage) for name, stage in named if stage is not None]


def core_counts(stages: Stages, name: StageName, cores: int) -> list[int]:
    """Return the numbers of cores to measure a stage on: one, and all if the loader uses them.

    A service uses the cores that it has, and is measured once.
    """
    if name in OF_SERVICE or (name == "batch copy" and not stages.copies_in_parallel):
        return [1]
    return sorted({1, cores})


def encoded_bytes(stages: Stages, manifest: Manifest) -> int:
    """Return the total size of the manifest's files, or of its rows in the pack that is read."""
    if stages.reading is not None and stages.reading.pack_bytes is not None:
        return stages.reading.pack_bytes
    return Files(manifest).size(np.arange(len(manifest)))


def why_not_cold(stages: Stages, manifest: Manifest) -> str | None:
    """Return why the loader cannot be measured with cold files; None if it can."""
    if stages.reading is None:
        reason = stages.reads_nothing or "with its cache full the loader reads no files"
        return f"--cache-state cold: {reason}"
    if stages.reading.pack_bytes is not None:
        return "--cache-state cold: the loader reads a pack, and only single files can be evicted"
    try:
        check_cold(manifest)
    except PlanError as error:
        return str(error)
    return None


def impossible_states(stages: Stages, manifest: Manifest) -> dict[CacheState, str]:
    """Return the cache states in which the loader cannot be measured, and why."""
    reasons: dict[CacheState, str | None] = {
        "cold": why_not_cold(stages, manifest),
        "warm": _why_not_warm(stages, manifest),
    }
    return {state: reason for state, reason in reasons.items() if reason is not None}


def _why_not_warm(stages: Stages, manifest: Manifest) -> str | None:
    if stages.reading is None or stages.reading.pack_bytes is not None:
        return None
    try:
        check_warm(manifest)
    except PlanError as error:
        return str(error)
    return None
