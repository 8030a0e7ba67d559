"""Reads TOML files and validates their values; every error is one line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from feedbench.bench.errors import PlanError
from feedbench.loaders import explain

Model = TypeVar("Model", bound=BaseModel)

NO_RECIPE = "feedbench recipe > recipe.toml writes one with all defaults"


def read_toml(path: Path, remedy: str = "") -> dict[str, Any]:
    """Read a TOML file.

    Args:
        remedy: what to do if it cannot be opened, for the error message.

    Raises:
        PlanError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PlanError("; ".join(filter(None, [f"{path}: {error.strerror}", remedy]))) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: not TOML: {error}") from error


def parse_model(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Validate values as a model.

    Args:
        where: the file or the option that holds the values, for the error message.

    Raises:
        PlanError: a field is unknown or its value is not valid.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise PlanError(f"{where}: {explain(error, model)}") from error
