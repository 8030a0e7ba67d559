"""Measures this machine's accelerator with the real trainer on synthetic images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.consumers.device import CPU
from feedbench.bench.errors import TrialError
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.quantities import quantity
from feedbench.bench.record import Trial
from feedbench.bench.trials.events import OnEvent
from feedbench.bench.trials.run import run
from feedbench.loaders import BASELINE, SCHEMA, BatchSpec, Manifest
from feedbench.trainer import ONE, Recipe


def calibration(spec: BatchSpec, recipe: Recipe, timing: Timing, devices: str = ONE) -> Plan:
    """Return the plan by which the trainer is timed when it never waits for data."""
    return Plan(
        choices=(Choice(loader=BASELINE),),
        spec=spec,
        recipe=recipe,
        consumer="train",
        timing=timing,
        failures=Failures(),
        pixels=PixelCheck(images=0),
        devices=devices,
    )


def calibrate(plan: Plan, classes: int, folder: Path, report: OnEvent) -> tuple[Trial, Estimate]:
    """Measure the rate of the trainer when it never waits for data.

    Args:
        plan: from `calibration`.
        classes: number of classes of the synthetic images.
        folder: gets the raw record.
        report: called with the events of the trial.

    Returns:
        The record of the trial, and its rate in images per second.

    Raises:
        TrialError: the trainer failed.
        RecordError: the folder cannot be written.
    """
    manifest = placeholder_manifest(plan.spec.batch_size * 4, classes)
    (trial,) = run(plan, manifest, folder, report)
    if trial.error is not None:
        raise TrialError(trial.error, trial.traceback or "")
    return trial, median_interval([block.images_per_second for block in trial.blocks])


def as_profile(trial: Trial, rate: Estimate, facts: dict[str, Any]) -> Accelerator:
    """Return a measured rate, with the conditions of its measurement, as an accelerator profile.

    Args:
        trial: of which `rate` is the median.
        facts: of this machine, from `environment`.
    """
    spec, recipe = BatchSpec.model_validate(trial.spec), Recipe.model_validate(trial.recipe)
    versions = facts["packages"]
    precision = recipe.mixed_precision
    return Accelerator(
        device=device_of(trial, facts),
        images_per_second=round(rate.value, 1),
        batch_size=spec.batch_size,
        image_size=spec.image_size,
        network=recipe.network,
        alpha=None if recipe.own_model else recipe.alpha,
        precision="float32" if precision == "none" else f"mixed {precision}",
        source=(
            f"feedbench calibrate, median [95 %] of {quantity(len(trial.blocks), 'block')} "
            f"{rate:.1f}, {facts['keras_backend']} backend, TensorFlow {versions['tensorflow']}, "
            f"Keras {versions['keras']}"
        ),
    )


def device_of(trial: Trial, facts: dict[str, Any]) -> str:
    """Return the name of the GPU that the trainer used, or of the processor without one.

    Several devices are counted.
    """
    count = f"{len(trial.devices)} × " if len(trial.devices) > 1 else ""
    if trial.device not in (None, CPU):
        return f"{count}{trial.device}"
    processor = f"{quantity(facts['cores'], 'core')} of {facts['processor']}"
    return f"{count}logical devices of {processor}" if count else processor


def placeholder_manifest(count: int, classes: int) -> Manifest:
    """Return a manifest of files that do not exist, for a loader that reads no files."""
    columns: dict[str, Any] = {
        "path": pa.array([b"made up"] * count, SCHEMA.field("path").type),
        "label": pa.array(np.arange(count) % classes, pa.int32()),
        "split": pa.array(np.zeros(count), pa.int8()),
    }
    table = pa.table([columns[name] for name in SCHEMA.names], SCHEMA)
    names = tuple(f"{number:04}" for number in range(classes))
    return Manifest(table, names, Path("/"), "csv")
