"""What a study trains: one recipe over a small grid, each cell with several seeds."""

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
from feedbench.bench.plan.plan import merged_spec
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.loaders import DEFAULT_LOADER, find_loader, parse_settings, parse_spec
from feedbench.trainer import Recipe

_SECTIONS = ("spec", "recipe", "settings")


class Study(BaseModel):
    """A study file. Values of the grid replace those of the sections; seeds come on top."""

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
    seeds: PositiveInt = Field(3, description="Trainings per cell, with seeds 0, 1, 2 and so on.")
    grid: dict[str, list[Any]] = Field(
        min_length=1,
        description='SECTION.FIELD and its values, such as "spec.value_range" = [[0, 1], [-1, 1]], '
        "in quotes; the first value is the baseline.",
    )

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        for name, values in self.grid.items():
            section, dot, field = name.partition(".")
            if section not in _SECTIONS or not (dot and field):
                raise ValueError(f"grid names {name!r}; it must be spec., recipe. or settings.")
            if field == "seed":
                raise ValueError(f"grid names {name!r}; say how many seeds by seeds = N")
            told = [json.dumps(value) for value in values]
            if len(set(told)) < max(2, len(told)):
                raise ValueError(f"grid {name} needs two values or more, each once, got {values}")
        return self


@dataclass(frozen=True)
class Run:
    """One training of a study.

    Attributes:
        name: its folder's.
        cell: each field of the grid with the value that it has here, as JSON text.
    """

    name: str
    cell: dict[str, str]
    seed: int
    best: Best
    recipe: Recipe


def read_study(path: Path) -> Study:
    """A study from its TOML file.

    Raises:
        PlanError: it cannot be read, or a field is not valid; the text names it.
    """
    return parse_model(Study, read_toml(path), str(path))


def runs_of(study: Study, default_spec: dict[str, Any]) -> list[Run]:
    """All trainings, seed by seed, so that what changes on the machine meets all cells alike.

    Raises:
        PlanError: a recipe is not valid.
        LoaderError: a loader, a setting or a spec is not.
    """
    cells = [
        dict(zip(study.grid, values, strict=True))
        for values in itertools.product(*study.grid.values())
    ]
    runs = []
    for seed in range(study.seeds):
        numbered = list(enumerate(cells))
        random.Random(seed).shuffle(numbered)
        runs += [_run(study, default_spec, number, cell, seed) for number, cell in numbered]
    return runs


def _run(
    study: Study, default_spec: dict[str, Any], number: int, cell: dict[str, Any], seed: int
) -> Run:
    chosen: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for name, value in cell.items():
        section, _, field = name.partition(".")
        _put(chosen[section], field, value)
    base = resolve_loader(study.loader, default_spec)
    best = Best(
        loader=base.loader,
        settings={**base.settings, **study.settings, **chosen["settings"]},
        spec=merged_spec(base.spec, study.spec, chosen["spec"], {"seed": seed}),
    )
    parse_settings(find_loader(best.loader), best.settings)
    parse_spec(best.spec)
    values = {**base.recipe, **study.recipe, **chosen["recipe"], "seed": seed}
    told = {name: json.dumps(value) for name, value in cell.items()}
    return Run(
        name=f"{number}-{_slug(told)}-seed-{seed}",
        cell=told,
        seed=seed,
        best=best,
        recipe=parse_model(Recipe, values, "recipe"),
    )


def _put(section: dict[str, Any], field: str, value: Any) -> None:
    """`augment.rotation` reaches into the section."""
    *outer, last = field.split(".")
    for name in outer:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise PlanError(f"grid: {field} and a field that it lies in cannot both vary")
    section[last] = value


def _slug(cell: dict[str, str]) -> str:
    parts = [f"{name.rpartition('.')[2]}={value}" for name, value in cell.items()]
    return re.sub(r"[^A-Za-z0-9._=,-]", "", "-".join(parts))[:100]
