"""best.toml: the winner of a bench, with all that the training needs to run as it was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.summary import Figure, Summary
from feedbench.bench.environment import machine
from feedbench.bench.files import write_text
from feedbench.bench.plan.plan import parse_model, read_toml
from feedbench.bench.record import Trial

BEST = "best.toml"


class Predicted(BaseModel):
    """The rate that the bench measured with this choice."""

    model_config = ConfigDict(extra="forbid")

    images_per_second: Figure


class RunnerUp(BaseModel):
    """What raced against the best.

    Attributes:
        ratio: of its rate to the best's: median and the ends of its interval.
        tie: whether it may be as fast.
    """

    model_config = ConfigDict(extra="forbid")

    loader: str
    settings: dict[str, Any] = {}
    ratio: tuple[float, float, float]
    tie: bool


class Best(BaseModel):
    """A loader, its settings, and what they were measured with."""

    model_config = ConfigDict(extra="forbid")

    loader: str
    consumer: str = "train"
    settings: dict[str, Any] = {}
    spec: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    predicted: Predicted | None = None
    machine: dict[str, Any] = {}
    runners_up: list[RunnerUp] = []


def write_best(
    folder: Path, trials: list[Trial], summary: Summary, facts: dict[str, Any]
) -> Path | None:
    """Keep the winner, if there is one."""
    if summary.winner is None:
        return None
    trial, figures = trials[summary.winner], summary.trials[summary.winner]
    assert figures.images_per_second is not None
    best = Best(
        loader=trial.loader,
        consumer=trial.consumer,
        settings=trial.settings,
        spec=trial.spec,
        recipe=trial.recipe,
        predicted=Predicted(images_per_second=figures.images_per_second),
        machine=machine(facts),
    )
    write_text(folder / BEST, tomli_w.dumps(best.model_dump(exclude_none=True)))
    return folder / BEST


def read_best(path: Path) -> Best:
    """What `write_best` kept, or the same written by hand.

    Raises:
        PlanError: it cannot be read, or a field is not valid.
    """
    return parse_model(Best, read_toml(path), str(path))
