"""The heading of a timeline: what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.record import Trial
from feedbench.bench.report.summary_text import headline
from feedbench.bench.report.table import trial_name


@dataclass(frozen=True)
class Subject:
    """Who feeds whom.

    Attributes:
        loader: name and settings.
        consumer: such as "an emulated A100 40 GB"; empty if nothing takes the batches.
        conditions: images, batches and consumer in a line.
        seconds_per_image: of an emulated accelerator, whose steps take a known time.
    """

    loader: str
    consumer: str
    conditions: str
    seconds_per_image: float | None = None


def subject_of(trial: Trial) -> Subject:
    """Return the subject of a trial."""
    return Subject(
        loader=trial_name(trial),
        consumer=_consumer(trial),
        conditions=headline([trial]),
        seconds_per_image=step_seconds(trial.accelerator, trial.spec),
    )


def step_seconds(accelerator: dict[str, Any] | None, spec: dict[str, Any]) -> float | None:
    """Return the seconds per image of an emulated accelerator; None without one."""
    if accelerator is None:
        return None
    return Accelerator.model_validate(accelerator).seconds_per_image(spec["image_size"])


def _consumer(trial: Trial) -> str:
    if trial.accelerator is not None:
        return f"an emulated {trial.accelerator['device']}"
    return {"drain": "", "fit": "the training"}.get(trial.consumer, "the trainer")
