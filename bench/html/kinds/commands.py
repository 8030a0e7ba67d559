"""Commands to use a result and to repeat a run, as far as its record tells."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from feedbench.bench.analysis.best import BEST
from feedbench.bench.analysis.predicted import without_confirmation
from feedbench.bench.consumers.device import devices_option
from feedbench.bench.diagnose.record import FASTER_STORAGE, DiagnosisRecord
from feedbench.bench.html.parts import Code, Details, Part, Section, Text
from feedbench.bench.plan.settings import as_toml, single
from feedbench.bench.record import Trial
from feedbench.bench.trials.sample import IMAGES
from feedbench.loaders import Augment, BatchSpec
from feedbench.trainer import Recipe

_SPEC = ("image_size", "batch_size", "resize", "interpolation")
_FILE = "loader.toml"
_NOTE = "DATA stands for the folder or file with the images, which the record does not name."


def train_command(folder: Path, loader: str, settings: dict[str, Any]) -> str:
    """Return the command that trains with the winner.

    Args:
        folder: of the record; its best.toml is used if there is one. Only its name is shown of an
            absolute path: where it is on this machine is of no use to who reads the report.
    """
    words = ["feedbench", "train", "DATA"]
    if (folder / BEST).is_file():
        shown = Path(folder.name) if folder.is_absolute() else folder
        return shlex.join([*words, "--loader", str(shown / BEST)])
    return shlex.join([*words, *choice_options(loader, settings)])


def choice_options(loader: str, settings: dict[str, Any]) -> list[str]:
    """Return the options that choose a loader with its settings."""
    sets = [word for name in settings for word in ("--set", _setting(loader, name, settings[name]))]
    return ["--loader", loader, *sets]


def _setting(loader: str, name: str, value: Any) -> str:
    text = str(value) if value is None or isinstance(value, str) else json.dumps(value)
    return f"{loader}.{name}={text}"


def suite_text(trials: Sequence[Trial]) -> str:
    """Return a suite file that measures the same trials again."""
    first = trials[0]
    suite: dict[str, Any] = {
        "consumer": first.consumer,
        **_devices(first),
        "timing": _timing(trials),
        "spec": first.spec,
        "recipe": first.recipe,
        "trial": [_choice(trial) for trial in trials if not trial.alone],
    }
    return tomli_w.dumps(_without_none(suite))


def _devices(trial: Trial) -> dict[str, str]:
    """Return the field for several devices, for which the bench also measures one alone."""
    option = devices_option(trial.devices)
    return {"devices": option[1]} if option else {}


def _timing(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the rounds as they were planned, without those of the winner alone."""
    state = next((trial.cache_state for trial in trials if trial.cache_state), None)
    if looks := trials[0].judged_after:
        return {"blocks": looks[-1], "cache_state": state}
    timed = max(len(without_confirmation(trial).blocks) for trial in trials)
    rounds = trials[0].rounds or max(1, timed)  # records of older versions hold no number
    return {"blocks": rounds, "early_stopping": False, "cache_state": state}


def _choice(trial: Trial) -> dict[str, Any]:
    augment = {} if trial.augment is None else {"augment": trial.augment}
    settings = single(as_toml(trial.loader, trial.settings))
    return {"loader": trial.loader, "settings": settings, **augment}


def _without_none(value: Any) -> Any:
    """Return a value without the fields that are None, which TOML does not have."""
    if isinstance(value, dict):
        return {name: _without_none(one) for name, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value


def repeated_diagnosis(record: DiagnosisRecord) -> list[Part]:
    """Return the command that gives a diagnosis again, with the file that it names, if any.

    The file holds the fields of batch spec and recipe for which `diagnose` has no option.
    """
    words = ["feedbench", "diagnose", "DATA"]
    files: list[Part] = []
    if _has_options(record):
        words += [*choice_options(record.loader, record.settings), *_options_of(record)]
    else:
        words += ["--loader", _FILE]
        files.append(Details(_FILE, [Code(_chosen_text(record))]))
    words += ["--consumer", record.consumer, *devices_option(record.devices)]
    words += ["--cache-state", record.cache_state]
    given = {
        "--seconds": record.budget_s,
        "--images": record.sampled,
        "--what-if-storage": record.faster_storage,
        "--what-if-image-size": record.other_image_size,
    }
    usual = {"--images": IMAGES, "--what-if-storage": FASTER_STORAGE}
    for name, value in given.items():
        if value is not None and value != usual.get(name):
            words += [name, f"{value:.12g}"]
    was_rewritten = record.rewrite or any(part.name == "rewritten" for part in record.parts)
    words += ["--try"] if was_rewritten else []
    return [Code(shlex.join(words), "Diagnose again"), *files]


def _has_options(record: DiagnosisRecord) -> bool:
    """Whether options of `diagnose` can set the whole batch spec and recipe."""
    try:
        spec, recipe = BatchSpec.model_validate(record.spec), Recipe.model_validate(record.recipe)
    except ValidationError:  # of a version that had other fields
        return True
    named = {name: getattr(spec, name) for name in _SPEC}
    flip = Augment(horizontal_flip=spec.augment.horizontal_flip)
    same_recipe = recipe == Recipe(network=recipe.network, alpha=recipe.alpha)
    return spec == BatchSpec(**named, augment=flip) and (same_recipe or record.consumer != "train")


def _options_of(record: DiagnosisRecord) -> list[str]:
    flips = record.spec.get("augment", {}).get("horizontal_flip", True)
    flip = [] if flips else ["--no-flip"]
    return [*spec_options(record.spec), *flip, *model_options(record.recipe)]


def _chosen_text(record: DiagnosisRecord) -> str:
    """Return a file that `--loader` takes."""
    names = ("loader", "consumer", "spec", "recipe")
    values = {name: getattr(record, name) for name in names}
    values["settings"] = as_toml(record.loader, record.settings)
    return tomli_w.dumps(_without_none(values))


def model_options(recipe: dict[str, Any]) -> list[str]:
    """Return the options for the network of a recipe, if it is not the usual one."""
    usual = Recipe()
    options = (("--model", "network", usual.network), ("--alpha", "alpha", usual.alpha))
    return [
        word
        for option, name, value in options
        if recipe.get(name, value) != value
        for word in (option, str(recipe[name]))
    ]


def spec_options(spec: dict[str, Any]) -> list[str]:
    """Return the options for the most important fields of a batch spec."""
    named = ((f"--{name.replace('_', '-')}", spec[name]) for name in _SPEC if name in spec)
    return [word for name, value in named for word in (name, str(value))]


def repeat_section(folder: Path, parts: Sequence[Part]) -> Section:
    """Return the commands that repeat a run, and the file with its winner, if there is one."""
    file = folder / BEST
    best = [Details(BEST, [Code(file.read_text("utf-8", "replace"))])] if file.is_file() else []
    return Section("Repeat and use", [*parts, Text(_NOTE, "note"), *best], "repeat")
