"""best.toml: the winner of a bench, with all that the training needs to run as it was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.summary import Figure, Summary
from feedbench.bench.environment import machine
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.bench.record import Trial, write_text
from feedbench.loaders import LOADERS, find_loader

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
    return parse_model(Best, read_toml(path), f"{path}: not a {BEST}")


def resolve_loader(text: str, spec: dict[str, Any] | None = None) -> Best:
    """A loader given by its name, by a best.toml, or by the folder of a result that has one.

    Args:
        spec: the batch spec of a loader that is given by its name.

    Raises:
        LoaderError: no loader has that name.
        PlanError: there is no such file, it is not a best.toml, or the folder has none.
    """
    path = Path(text)
    if text in LOADERS:
        return Best(loader=text, spec=spec or {})
    if path.is_dir():
        if not (path / BEST).is_file():
            raise PlanError(f"{text}: no {BEST} in this folder; bench and tune write one")
        return read_best(path / BEST)
    if path.exists() or path.suffix == ".toml" or len(path.parts) > 1:
        return read_best(path)
    return Best(loader=find_loader(text).name, spec=spec or {})
