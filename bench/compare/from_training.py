"""What can be compared of a training: the rate of its epochs, its time and its accuracy."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from feedbench.bench.compare.outcome import Measured, measured
from feedbench.bench.compare.subject import (
    Facts,
    NamedRate,
    Subject,
    Training,
    code_facts,
    digest_text,
    flat,
    recipe_facts,
    spec_facts,
    version_facts,
)
from feedbench.bench.environment import machine
from feedbench.bench.plan.plan import Choice
from feedbench.bench.results.kinds import TrainingResult
from feedbench.bench.training.compare import describe
from feedbench.bench.training.rate_check import counted_epochs
from feedbench.trainer import Recipe

TRAINING_RATE = "training"


def of_training(result: TrainingResult) -> Subject:
    """Return what can be compared of a finished training."""
    values = result.values
    loader = Choice(loader=values["loader"], settings=values.get("settings", {}))
    return Subject(
        path=result.path,
        command="train",
        family="train",
        measured=f"{describe(values['recipe'], values['spec']['image_size'])}, {loader}",
        facts=_facts(values, str(loader)),
        rates={TRAINING_RATE: NamedRate(_measured(values))},
        training=Training(result.path.parent, sum(epoch["train_s"] for epoch in values["epochs"])),
    )


def _measured(values: dict[str, Any]) -> Measured:
    """Return the rate of the epochs that a rate check counts; without any, of the last one."""
    epochs = values["epochs"]
    rates = [epoch["images"] / epoch["train_s"] for epoch in epochs]
    marks = [epoch.get("first_of_process", False) for epoch in epochs]
    try:
        counted = counted_epochs(rates, Recipe.model_validate(values["recipe"]), marks)
    except ValidationError:  # of a version that had other fields
        counted = rates[1:]
    return measured(dict(enumerate(counted or rates[-1:])))


def _facts(values: dict[str, Any], loader: str) -> Facts:
    facts, own = values.get("environment", {}), values.get("own")
    is_whole = {"processor", "cores", "gpus"} <= facts.keys()
    return {
        "data": _data(values),
        "batches": spec_facts(values["spec"]),
        "recipe": recipe_facts(values["recipe"]),
        "machine": {**flat(machine(facts)), **_together(values)} if is_whole else {},
        "versions": flat(version_facts(facts)),
        "loader": {"loader": loader},
        "code": {
            **code_facts(values.get("model")),
            **({"loader's file": digest_text(own["digest"])} if own else {}),
        },
    }


def _data(values: dict[str, Any]) -> dict[str, str]:
    """Return the number of images of each split, and the fingerprint of those trained on."""
    counts = values.get("images", {})
    numbers = flat({f"images of {split}": _total(count) for split, count in counts.items()})
    rows = values.get("rows")  # which records of older versions do not hold
    return numbers if rows is None else {**numbers, "photographs": digest_text(rows)}


def _together(values: dict[str, Any]) -> dict[str, str]:
    """Return how many devices or workers trained together, if the record says so."""
    if workers := values.get("workers"):
        return {"workers": str(len(workers))}
    return {"devices": values["devices"], "workers": "1"} if "devices" in values else {}


def _total(count: Any) -> int:
    """Return the number of images of a split, which records hold by class."""
    return sum(count.values()) if isinstance(count, dict) else int(count)
