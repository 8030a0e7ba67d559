"""TOML files, and values in them, as validated models; every fault is one line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from feedbench.bench.errors import PlanError
from feedbench.loaders.explain import explain

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's values.

    Raises:
        PlanError: it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: not TOML: {error}") from error


def parse_model(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Plain values as a validated model.

    Raises:
        PlanError: a field is unknown or its value not allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise PlanError(f"{where}: {explain(error, model)}") from error
