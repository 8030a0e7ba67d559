"""What can be compared of a run: its rates by name, and the conditions that they depend on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.compare.outcome import Measured
from feedbench.bench.described import is_environment
from feedbench.bench.environment import machine
from feedbench.bench.record import Conditions, Trial
from feedbench.bench.results.comparison import Topic
from feedbench.bench.training.rate_check import STEP_COST
from feedbench.loaders import BatchSpec
from feedbench.trainer import Recipe

Family = Literal["trials", "diagnose", "train"]
Facts = dict[Topic, dict[str, str]]
ACCELERATOR_COST = ("images_per_second", "batch_size", "image_size")  # of a profile
_DIGEST = 12  # characters of a fingerprint that are shown


@dataclass(frozen=True)
class NamedRate:
    """A rate of a run.

    Attributes:
        measured: None if it could not be measured.
        error: why not.
        compared: what is compared instead, such as its multiple of another rate.
        as_other: what is compared instead with a rate of another name.
        is_judged: whether it may count for `--fail-if-slower`.
        reads_images: False for what shows the speed of the machine, such as `synthetic`.
        details: what may differ although the name is the same.
    """

    measured: Measured | None
    error: str | None = None
    compared: Measured | None = None
    as_other: Measured | None = None
    is_judged: bool = True
    reads_images: bool = True
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stall:
    """The result of a diagnosis; fields are None without a verdict."""

    share: Estimate | None
    bottleneck: str | None


@dataclass(frozen=True)
class Training:
    """The folder of a training, and the seconds of all its epochs."""

    folder: Path
    train_s: float


@dataclass(frozen=True)
class Subject:
    """A run to compare.

    Attributes:
        path: of its record.
        family: runs are compared with others of their family.
        measured: what was measured, in one line.
        facts: its conditions as text, by topic and name; unknown ones are missing.
        rates: by the name that pairs them.
        winner: name of the rate that it chose.
        busy: how many cores other programs used meanwhile; empty if hardly any, or if unknown.
    """

    path: Path
    command: str
    family: Family
    measured: str
    facts: Facts
    rates: dict[str, NamedRate]
    winner: str | None = None
    stall: Stall | None = None
    training: Training | None = None
    busy: str = ""


def spec_facts(spec: dict[str, Any]) -> dict[str, str]:
    """Return the fields of a batch spec as text, defaults included.

    The seed is not among them: it draws other batches, but as fast.
    """
    try:
        values = BatchSpec.model_validate(spec).model_dump(mode="json")
    except ValidationError:  # of a version that had other fields
        values = spec
    return {name: text for name, text in flat(values).items() if name != "seed"}


def recipe_facts(recipe: dict[str, Any]) -> dict[str, str]:
    """Return the fields of a recipe that change how long a step takes."""
    try:
        values = Recipe.model_validate(recipe).model_dump(mode="json")
    except ValidationError:
        values = recipe
    return flat({name: values[name] for name in STEP_COST if name in values})


def condition_facts(conditions: Conditions, folder: Path, images: int) -> Facts:
    """Return images, machine and versions.

    Records of older versions do not hold the last two; then the environment.json beside them may.
    """
    facts = environment_in(folder)
    machine_facts = conditions.machine or (machine(facts) if facts else {})
    versions = conditions.versions or version_facts(facts)
    rows = {} if conditions.rows is None else {"photographs": conditions.rows[:_DIGEST]}
    return {
        "data": {"images": f"{images:,}", **rows},
        "machine": flat(machine_facts),
        "versions": flat(versions),
    }


def device_text(trial: Trial) -> str | None:
    """Return the device that trained, with how many of them did; None without a trainer."""
    count = f"{len(trial.devices)} × " if len(trial.devices) > 1 else ""
    return None if trial.device is None else f"{count}{trial.device}"


def environment_in(folder: Path) -> dict[str, Any]:
    """Return the environment.json of a folder; empty if there is none that can be read."""
    try:
        facts = json.loads((folder / "environment.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    is_whole = is_environment(facts) and {"processor", "cores", "gpus"} <= facts.keys()
    return facts if is_whole else {}


def version_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the versions in an environment; empty if it holds none."""
    python = {"python": facts["python"]} if "python" in facts else {}
    return {**python, **facts.get("packages", {})}


def code_facts(model: dict[str, Any] | None) -> dict[str, str]:
    """Return the file of a user's own model, if there is one."""
    if not model or "sha256" not in model:
        return {}
    return {"model file": str(model["sha256"])[:_DIGEST]}


def digest_text(digest: str) -> str:
    """Return the beginning of a digest."""
    return digest[:_DIGEST]


def as_text(value: Any) -> str:
    """Return a value as it is shown."""
    if isinstance(value, list | tuple):
        return ", ".join(map(as_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values as text, by names such as `augment.rotation`."""
    texts: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            texts |= flat(value, f"{prefix}{name}.")
        else:
            texts[prefix + name] = as_text(value)
    return texts
