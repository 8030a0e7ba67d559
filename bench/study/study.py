"""A study file: one recipe over a small grid, each cell trained with several seeds."""

from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from feedbench.bench.analysis.best import Best, resolve_loader
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Failures, merged_spec
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.loaders import (
    DEFAULT_LOADER,
    check_package,
    find_loader,
    parse_settings,
    parse_spec,
)
from feedbench.trainer import Recipe

_SECTIONS = ("spec", "recipe", "settings")


class Study(BaseModel):
    """A study file. Values of the grid override those of the sections."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(description="Source of the images, as DATA of the other commands.")
    blacklist: str | None = Field(None, description="CSV as written by feedbench scan --bad.")
    loader: str = Field(
        DEFAULT_LOADER, description="A loader's name, a best.toml, or a result folder that has one."
    )
    settings: dict[str, Any] = Field({}, description="Settings of the loader.")
    spec: dict[str, Any] = Field(
        {}, description="Fields of the batch spec; horizontal flips by default."
    )
    recipe: dict[str, Any] = Field({}, description="Fields of the recipe.")
    failures: Failures = Field(
        Failures(), description="on_error and error_budget, as the options of train."
    )
    seeds: PositiveInt = Field(3, description="Trainings per cell, with seeds 0, 1, 2 and so on.")
    grid: dict[str, list[Any]] = Field(
        min_length=1,
        description='SECTION.FIELD and its values, such as "spec.value_range" = [[0, 1], [-1, 1]], '
        "in quotes; the first value is the baseline.",
    )

    @model_validator(mode="after")
    def _check_grid(self) -> Self:
        for name, values in self.grid.items():
            section, dot, field = name.partition(".")
            if section not in _SECTIONS or not (dot and field):
                raise ValueError(
                    f"the name {name!r} in grid must start with spec., recipe. or settings."
                )
            if field == "seed":
                raise ValueError(f"grid cannot vary {name}; set the number of seeds: seeds = N")
            if len({json.dumps(value) for value in values}) < max(2, len(values)):
                raise ValueError(f"grid {name} needs at least two different values, got {values}")
        return self


@dataclass(frozen=True)
class StudyRun:
    """One training of a study.

    Attributes:
        name: name of its folder.
        cell: the value of each field of the grid, as JSON.
        seed: seed of both recipe and batch spec.
        best: loader, settings and batch spec.
    """

    name: str
    cell: dict[str, str]
    seed: int
    best: Best
    recipe: Recipe


def read_study(path: Path) -> Study:
    """Read a study from a TOML file.

    Raises:
        PlanError: the file cannot be read, or a field is not valid.
    """
    return parse_model(Study, read_toml(path), str(path))


def with_loader_resolved(study: Study, default_spec: dict[str, Any]) -> Study:
    """Return a study that says all by itself, without the best.toml that it may name.

    Args:
        default_spec: the batch spec if `study.loader` is a name.

    Raises:
        PlanError: the file is not a best.toml.
        LoaderError: no loader has that name, or what it needs is not installed.
    """
    base = resolve_loader(study.loader, default_spec)
    check_package(base.loader)
    if not find_loader(base.loader).is_choice:
        raise PlanError(f"loader {base.loader}: synthetic images; choose one that reads files")
    spec = parse_spec(merged_spec(base.spec, study.spec))
    return study.model_copy(
        update={
            "loader": base.loader,
            "settings": {**base.settings, **study.settings},
            "spec": spec.model_dump(mode="json", exclude_none=True),
            "recipe": {**base.recipe, **study.recipe},
        }
    )


def make_runs(study: Study, default_spec: dict[str, Any]) -> list[StudyRun]:
    """Return all trainings in the order in which they run.

    They go seed by seed, with the cells of each seed in random order, so that changes of the
    machine affect all cells equally.

    Args:
        default_spec: the batch spec if `study.loader` is a name.

    Raises:
        PlanError: a recipe is not valid.
        LoaderError: a loader, a setting or a batch spec is not valid.
    """
    cells = [
        dict(zip(study.grid, values, strict=True))
        for values in itertools.product(*study.grid.values())
    ]
    runs = []
    for seed in range(study.seeds):
        numbered = list(enumerate(cells))
        random.Random(seed).shuffle(numbered)
        runs += [_make_run(study, default_spec, number, cell, seed) for number, cell in numbered]
    return runs


def _make_run(
    study: Study, default_spec: dict[str, Any], number: int, cell: dict[str, Any], seed: int
) -> StudyRun:
    overrides: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for name, value in cell.items():
        section, _, field = name.partition(".")
        _set_nested(overrides[section], field, value)
    base = resolve_loader(study.loader, default_spec)
    best = Best(
        loader=base.loader,
        settings={**base.settings, **study.settings, **overrides["settings"]},
        spec=merged_spec(base.spec, study.spec, overrides["spec"], {"seed": seed}),
        unpredicted="a study compares accuracies, and predicts no rates",
    )
    parse_settings(find_loader(best.loader), best.settings)
    parse_spec(best.spec)
    recipe = {**base.recipe, **study.recipe, **overrides["recipe"], "seed": seed}
    json_cell = {name: json.dumps(value) for name, value in cell.items()}
    return StudyRun(
        name=f"{number}-{_slug(json_cell)}-seed-{seed}",
        cell=json_cell,
        seed=seed,
        best=best,
        recipe=parse_model(Recipe, recipe, "recipe"),
    )


def _set_nested(section: dict[str, Any], field: str, value: Any) -> None:
    """Set a field of a section; `augment.rotation` is the field `rotation` within `augment`."""
    *outer, last = field.split(".")
    for name in outer:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise PlanError(f"grid: {field} and a field that contains it cannot both vary")
    section[last] = value


def _slug(cell: dict[str, str]) -> str:
    """Return the values of a cell as a part of a folder's name."""
    parts = [f"{name.rpartition('.')[2]}={value}" for name, value in cell.items()]
    return re.sub(r"[^A-Za-z0-9._=,-]", "", "-".join(parts))[:100]
