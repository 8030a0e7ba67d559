"""Batches, recipe, accelerator and machine in a record, checked when it is read.

These are dictionaries in a record, which stays as it was written; all that is derived from a record
may rely on their fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from feedbench.bench.accelerator import Accelerator
from feedbench.loaders import BatchSpec, explain
from feedbench.trainer import Recipe

PRINTED = ("image_size", "batch_size", "resize", "interpolation")  # of a batch spec, above a table


class Described(Protocol):
    """A trial, or a diagnosis."""

    @property
    def consumer(self) -> str:
        """What took the batches."""

    @property
    def spec(self) -> dict[str, Any]:
        """Of the batches."""

    @property
    def recipe(self) -> dict[str, Any]:
        """Of the training."""


class _Fit(BaseModel):
    """What is known of the batches of a monitored `fit`."""

    batch_size: int


class _Network(BaseModel):
    """What is known of the model of a monitored `fit`."""

    network: str


class _Machine(BaseModel):
    """What is compared of a machine, as far as it is known."""

    model_config = ConfigDict(extra="allow")

    processor: str | None = None
    cores: int | None = None
    gpus: list[str] = []


class _Environment(_Machine):
    """The contents of an environment.json."""

    python: str | None = None
    packages: dict[str, str | None] = {}


class _Model(BaseModel):
    """The file of the user's own model."""

    model_config = ConfigDict(extra="allow")

    sha256: str


_OTHERS: dict[str, type[BaseModel]] = {
    "accelerator": Accelerator,
    "machine": _Machine,
    "model": _Model,
}
_PLAN: dict[str, type[BaseModel]] = {
    "spec": BatchSpec,
    "recipe": Recipe,
    "accelerator": Accelerator,
}


def check_described(record: Described) -> None:
    """Check the dictionaries of a record.

    Raises:
        ValueError: a field is not valid; the text names it.
    """
    is_fit = record.consumer == "fit"
    check("spec", _Fit if is_fit else BatchSpec, record.spec)
    check("recipe", _Network if is_fit else Recipe, record.recipe)
    for name, model in _OTHERS.items():
        if (values := getattr(record, name)) is not None:
            check(name, model, values)


def is_environment(facts: Any) -> bool:
    """Whether this is what a run knows of its machine and of its libraries."""
    try:
        _Environment.model_validate(facts)
    except ValidationError:
        return False
    return True


def check_fields(name: str, values: dict[str, Any], needed: Sequence[str]) -> None:
    """Check that a dictionary has these fields.

    Raises:
        ValueError: it lacks one; the text names it.
    """
    for field in needed:
        if field not in values:
            raise ValueError(f"{name}.{field}: field required")


def check_plan(name: str, values: dict[str, Any]) -> None:
    """Check what a dictionary holds of a plan: a batch spec, a recipe and an accelerator.

    Args:
        name: of its field.

    Raises:
        ValueError: one of them is not valid; the text names the field.
    """
    for key, model in _PLAN.items():
        if key in values and (key != "accelerator" or values[key] is not None):
            check(f"{name}.{key}", model, values[key])


def check(name: str, model: type[BaseModel], values: dict[str, Any]) -> None:
    """Check that a dictionary of a record could be this model.

    Args:
        name: of its field.

    Raises:
        ValueError: it could not; the text names the field.
    """
    try:
        model.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"{name}.{explain(error)}") from error
