"""The folder of a training: its configuration, its result, and checks before it is written to."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomli_w

from feedbench.bench.analysis.best import Best, read_best
from feedbench.bench.consumers.own_model import find_builder
from feedbench.bench.errors import BenchError, RecordError
from feedbench.bench.files import parse_json, write_text
from feedbench.bench.loader_facts import own_of
from feedbench.bench.plan.toml import NO_RECIPE, parse_model, read_toml
from feedbench.bench.training.rate_check import RATE_CHECK_KEY
from feedbench.bench.training.shape import fault
from feedbench.bench.training.tensorboard import LOGS as TENSORBOARD_LOGS
from feedbench.loaders import LoaderError, Manifest, Originals
from feedbench.trainer import Recipe, TrainerError

RECIPE = "recipe.toml"
LOADER = "loader.toml"
CLASSES = "classes.json"
MODEL = "model.keras"
TRAINING = "training.json"
DIVERGED = "diverged.json"
OWN_MODEL = "own model"  # of the identity of a training
LOG = "train.log"
_WITHOUT_TRAINING = {RECIPE, LOADER, CLASSES, LOG, TENSORBOARD_LOGS, *Originals.NAMES}
_CHECKPOINTS = 3  # the last one, the next one beside it, and the models with the same weights


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file.

    Raises:
        PlanError: the file cannot be read, or a field is not valid.
    """
    return parse_model(Recipe, read_toml(path, NO_RECIPE), str(path))


def write_config(folder: Path, best: Best, recipe: Recipe) -> None:
    """Write what is trained: the recipe, and the loader with its settings and batch spec."""
    write_text(folder / RECIPE, tomli_w.dumps(recipe.model_dump(mode="json")))
    write_text(folder / LOADER, tomli_w.dumps(best.model_dump(mode="json", exclude_none=True)))


def read_config_to_resume(folder: Path) -> tuple[Best, Recipe]:
    """Read what an unfinished training was started with.

    Raises:
        RecordError: no training was started here, it is finished, or the folder is not writable.
        PlanError: one of its files is not valid.
    """
    if not (folder / RECIPE).exists():
        raise RecordError(f"{folder}: no {RECIPE}; give the folder of a training to --resume")
    if (folder / TRAINING).exists():
        raise RecordError(f"{folder}: this training is finished; start a new one without --resume")
    check_writable(folder)
    return read_best(folder / LOADER), read_recipe(folder / RECIPE)


def read_training(path: Path) -> dict[str, Any]:
    """Read training.json; `test`, `per_class` and `dropped` may be missing and are then empty.

    Raises:
        RecordError: there is no such file, or it is not the result of a training.
    """
    try:
        result: dict[str, Any] = parse_json(path.read_bytes())
    except OSError as error:
        raise RecordError(
            f"{path}: {error.strerror}; give the folder of a finished training"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not the result of a training: {error}") from error
    if not isinstance(result, dict):
        raise RecordError(f"{path}: not the result of a training; give the folder of one")
    required = ("epochs", RATE_CHECK_KEY, "recipe", "spec")
    missing = [name for name in required if name not in result]
    if missing:
        raise RecordError(f"{path}: no {missing[0]!r} in it; give the folder of a training")
    if damage := fault(result):
        raise RecordError(f"{path}: {damage}; give the folder of a training")
    return {"test": None, "per_class": [], "dropped": [], **result}


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other trainings out of the folder; a kill releases it too.

    Raises:
        RecordError: another training writes to it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecordError(
                f"{folder}: another training writes to it; wait for its end, or name another "
                "folder with --out"
            ) from error
        except OSError:
            pass  # some network file systems cannot lock a folder
        yield
    finally:
        os.close(descriptor)


@contextmanager
def removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove the folder if the training is refused or stopped before it has anything to keep."""
    try:
        yield
    except (BenchError, LoaderError, TrainerError, KeyboardInterrupt):
        remove_if_nothing_kept(folder)
        raise


def remove_if_nothing_kept(folder: Path) -> None:
    """Remove the folder of a training that has neither a checkpoint nor a profile."""
    with suppress(OSError):
        names = {path.name for path in folder.iterdir()}
        has_profile = (folder / TENSORBOARD_LOGS / "plugins").exists()
        if names <= _WITHOUT_TRAINING and not has_profile:
            shutil.rmtree(folder)


def check_writable(folder: Path) -> None:
    """Check that files can be created, before hours of training depend on it.

    Raises:
        RecordError: the folder is not writable.
    """
    probe = folder / ".probe"
    write_text(probe, "")
    probe.unlink()


def check_disk_space(folder: Path, checkpoint_bytes: int) -> None:
    """Check that checkpoints and models will fit on the disk.

    Raises:
        RecordError: they will not.
    """
    required, free = _CHECKPOINTS * checkpoint_bytes, shutil.disk_usage(folder).free
    if required > free:
        raise RecordError(
            f"{folder}: checkpoints need about {required / 1e6:,.0f} MB, but only "
            f"{free / 1e6:,.0f} MB are free; free some space or name another folder with --out"
        )


def run_identity(best: Best, recipe: Recipe, train_images: Manifest) -> dict[str, Any]:
    """Return what must be unchanged when a training resumes; stored in its checkpoints."""
    own = own_of(best.loader)
    identity = {
        **({best.loader: own.digest} if own is not None else {}),
        "training images": train_images.fingerprint(),
        LOADER: best.model_dump(mode="json", include={"loader", "settings", "spec"}),
        RECIPE: recipe.model_dump(mode="json"),
    }
    if recipe.own_model:
        identity[OWN_MODEL] = find_builder(recipe.network).origin.model_dump()
    return identity


def changed_model(current: dict[str, Any], saved: dict[str, Any]) -> str:
    """Return a line if the file of the user's own model has changed; empty if it has not.

    Whether the training can be resumed depends on the weights: a comment changes a file too.

    Args:
        current, saved: as for `check_same_run`.
    """
    now, before = current.get(OWN_MODEL), saved.get(OWN_MODEL)
    if now is None or before is None or now["sha256"] == before["sha256"]:
        return ""
    return f"{now['file']} has changed since this training was started"


def check_same_run(folder: Path, current: dict[str, Any], saved: dict[str, Any]) -> None:
    """Check that the checkpoint belongs to this training.

    Args:
        current: the `run_identity` of the training to resume.
        saved: the `run_identity` stored in the checkpoint.

    Raises:
        RecordError: they differ; the message names what differs.
    """
    for name, value in current.items():
        if name != OWN_MODEL and saved.get(name) != value:
            differ = "differ" if name == "training images" else "differs"
            raise RecordError(
                f"{folder}: {name} {differ} from what this training was started with; undo the "
                "change, or start a new training"
            )
