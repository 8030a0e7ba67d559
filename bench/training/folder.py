"""The folder of a training: what it began with, whether it can be written, how to go on in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import tomli_w

from feedbench.bench.analysis.best import Best, read_best
from feedbench.bench.errors import RecordError
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.bench.record import write_text
from feedbench.loaders import Manifest
from feedbench.trainer import Recipe

RECIPE = "recipe.toml"
LOADER = "loader.toml"
TRAINING = "training.json"
_ROOM = 3  # checkpoints: the last one, the next one beside it, and the models of the same weights


def read_recipe(path: Path) -> Recipe:
    """A recipe from a TOML file.

    Raises:
        PlanError: it cannot be read, or a field is not valid; the text names file and field.
    """
    return parse_model(Recipe, read_toml(path), str(path))


def write_beginning(folder: Path, best: Best, recipe: Recipe) -> None:
    """Keep what the run is: its recipe, and its loader with settings and spec."""
    write_text(folder / RECIPE, tomli_w.dumps(recipe.model_dump(mode="json")))
    write_text(folder / LOADER, tomli_w.dumps(best.model_dump(mode="json", exclude_none=True)))


def read_beginning(folder: Path) -> tuple[Best, Recipe]:
    """What `write_beginning` kept, of a run that is not finished.

    Raises:
        RecordError: no training began here, it is finished, or the folder cannot be written.
        PlanError: a file of it is not valid any more.
    """
    if not (folder / RECIPE).exists():
        raise RecordError(f"{folder}: no {RECIPE}; give the folder of a training to --resume")
    if (folder / TRAINING).exists():
        raise RecordError(f"{folder}: this training is finished; begin a new one without --resume")
    check_writable(folder)
    return read_best(folder / LOADER), read_recipe(folder / RECIPE)


def check_writable(folder: Path) -> None:
    """Say now what would otherwise be found out after the first epoch.

    Raises:
        RecordError: no file can be made in the folder.
    """
    probe = folder / ".probe"
    write_text(probe, "")
    probe.unlink()


def check_room(folder: Path, checkpoint_bytes: int) -> None:
    """Say now when the disk is too full for the checkpoints.

    Raises:
        RecordError: it is.
    """
    need, free = _ROOM * checkpoint_bytes, shutil.disk_usage(folder).free
    if need > free:
        raise RecordError(
            f"{folder}: checkpoints need about {need / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are "
            "free; make room or name another folder by --out"
        )


def identity(best: Best, recipe: Recipe, rows: Manifest) -> dict[str, Any]:
    """What must be the same for a run to go on: the rows of the training images above all."""
    return {
        "training images": rows.fingerprint(),
        LOADER: best.model_dump(mode="json", include={"loader", "settings", "spec"}),
        RECIPE: recipe.model_dump(mode="json"),
    }


def check_same(folder: Path, here: dict[str, Any], there: dict[str, Any]) -> None:
    """Refuse to go on with what the checkpoint is not of.

    Raises:
        RecordError: something differs; the text names it.
    """
    for name, value in here.items():
        if there.get(name) != value:
            raise RecordError(
                f"{folder}: {name} is not what this run began with; put it back or begin anew"
            )
