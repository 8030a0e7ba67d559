"""best.toml: the winner of a bench, with all that the training needs to run as it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.environment import machine
from feedbench.bench.errors import PlanError
from feedbench.bench.files import write_text
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.loaders import LOADERS, find_loader

BEST = "best.toml"


class Predicted(BaseModel):
    """The rate that the bench measured with this choice."""

    model_config = ConfigDict(extra="forbid")

    images_per_second: Estimate


class RunnerUp(BaseModel):
    """What raced against the best.

    Attributes:
        ratio: of its rate to the best's, of paired blocks.
        tie: whether it may be as fast.
    """

    model_config = ConfigDict(extra="forbid")

    loader: str
    settings: dict[str, Any] = {}
    ratio: Estimate
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
    folder: Path,
    plan: Plan,
    choice: Choice,
    rate: Estimate,
    facts: dict[str, Any],
    runners_up: Sequence[RunnerUp] = (),
) -> Path:
    """Write a choice with its measured rate as best.toml.

    Args:
        plan: that it was measured by.
        facts: of this machine, from `environment`.

    Raises:
        RecordError: the file cannot be written.
    """
    best = Best(
        loader=choice.loader,
        consumer=plan.consumer,
        settings=choice.settings,
        spec=plan.spec.model_dump(mode="json", exclude_none=True),
        recipe=plan.recipe.model_dump(mode="json"),
        predicted=Predicted(images_per_second=rate),
        machine=machine(facts),
        runners_up=list(runners_up),
    )
    write_text(folder / BEST, tomli_w.dumps(best.model_dump(mode="json", exclude_none=True)))
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
