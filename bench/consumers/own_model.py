"""A user's own model: the function that builds it is called, or their .keras file is loaded."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.errors import PlanError
from feedbench.loaders import LoaderError, printable
from feedbench.loaders.own import (
    REQUIRED,
    OwnError,
    OwnFunction,
    called,
    check_utf8,
    defined_by,
    find_place,
    raised_by,
    read_function,
    shown,
)
from feedbench.trainer import Recipe, TrainerError

if TYPE_CHECKING:
    from feedbench.trainer import OwnModel

_OFFERED = ("image_size", "classes", "recipe")
_IN_LAYER = "Exception encountered when calling"  # how Keras begins the text of an error
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_NO_MEMORY = ("resource_exhausted", "resource exhausted", "resourceexhausted", "out of memory")


class ModelFile(BaseModel):
    """Where a user's model came from.

    Attributes:
        file: absolute path of the file that builds or holds it.
        sha256: digest of that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str


@dataclass(frozen=True)
class Builder:
    """A user's function or .keras file, read but not run.

    Attributes:
        function: the function; None for a .keras file.
    """

    name: str
    origin: ModelFile
    function: OwnFunction | None = None

    @property
    def place(self) -> str:
        """The file, and the line of the function, as errors name them."""
        if self.function is None:
            return shown(Path(self.origin.file))
        return f"{self.function.place}: {self.function.function}"


def find_builder(name: str) -> Builder:
    """Return what a recipe's `network` names, if it is a user's own.

    Raises:
        LoaderError: there is no such file or function.
        PlanError: it takes arguments that it is not given.
    """
    if name.endswith(".keras"):
        return Builder(name, _keras_file(Path(name)))
    function = read_function(name, find_place(name))
    unknown = [
        one.name
        for one in function.parameters
        if one.default is REQUIRED and one.name not in _OFFERED
    ]
    if unknown:
        raise PlanError(
            f"{function.place}: {function.function} needs {', '.join(unknown)}, and a model is "
            f"built with {', '.join(_OFFERED)}; give the others a default"
        )
    return Builder(name, ModelFile(file=str(function.file), sha256=function.digest), function)


def own_classes(name: str) -> dict[str, Any]:
    """Return the classes and functions in the code of a user's own model, by name.

    Args:
        name: of the function that builds the model, whose file is imported.

    Raises:
        LoaderError: there is no such function, or its file fails.
        PlanError: it is a .keras file.
    """
    function = find_builder(name).function
    if function is None:
        raise PlanError(f"--model {name}: name the function that builds it, such as model.py:build")
    return defined_by(function)


def model_digest(recipe: Recipe) -> str | None:
    """Return the digest of the file of a recipe's own model; None if it has none."""
    return find_builder(recipe.network).origin.sha256 if recipe.own_model else None


def _keras_file(path: Path) -> ModelFile:
    check_utf8(path.absolute())
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PlanError(
            f"--model {printable(str(path))}: {error.strerror}; name a .keras file, or a function "
            "such as model.py:build"
        ) from error
    if not zipfile.is_zipfile(path):
        raise PlanError(
            f"--model {printable(str(path))}: no zip, as a .keras file is, or it ends too early; "
            "save the model again by model.save"
        )
    return ModelFile(file=str(path.absolute()), sha256=digest)


def build_model(builder: Builder, recipe: Recipe, image_size: int, classes: int) -> OwnModel:
    """Return the user's model, built with the seed and the precision of the recipe.

    Raises:
        LoaderError: their code fails.
        PlanError: it returns something else, or the file cannot be loaded.
    """
    import keras

    from feedbench.trainer import OwnModel, building

    if builder.function is None:
        model = _loaded(builder, recipe)
    else:
        offered = {"image_size": image_size, "classes": classes, "recipe": recipe}
        with building(recipe):
            model = called(builder.function, offered, {})
    if not isinstance(model, keras.Model):
        raise PlanError(
            f"{builder.place} returned {_text(model)}; expected a Keras model, compiled or not"
        )
    _check_replicas(builder, model)
    return OwnModel(builder.place, model)


def _text(value: Any) -> str:
    if value is None:
        return "None"
    kind = type(value)
    return f"an object of {kind.__module__}.{kind.__qualname__}"


def _loaded(builder: Builder, recipe: Recipe) -> Any:
    import keras

    from feedbench.trainer import building

    try:
        with building(recipe):
            return keras.saving.load_model(builder.origin.file)
    except Exception as error:  # Keras and h5py raise many kinds
        reason = first_line(error).rstrip(".")
        raise PlanError(
            f"{builder.place}: Keras cannot load it: {reason}; if it has layers or functions of "
            "your own, write a function that loads it with custom_objects, and give it as --model "
            "model.py:build"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(lines[0]) if lines else type(error).__name__


def _check_replicas(builder: Builder, model: Any) -> None:
    strategy = getattr(model, "distribute_strategy", None)
    replicas = getattr(strategy, "num_replicas_in_sync", 1)
    if replicas > 1:
        raise PlanError(
            f"{builder.place} returned a model of {replicas} replicas; Feedbench trains on one "
            "device: build it outside of the strategy's scope"
        )


@contextmanager
def explained(builder: Builder, when: str) -> Iterator[None]:
    """Name the user's file and line in what their model raises.

    Args:
        when: what was going on, such as "in step 3".
    """
    try:
        yield
    except (TrainerError, LoaderError, MemoryError):
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}".lower()
        if builder.function is None or any(words in text for words in _NO_MEMORY):
            raise
        raise _told(builder.function, error, when) from error


def _told(function: OwnFunction, error: Exception, when: str) -> OwnError:
    """The error of the user's code; of one that Keras raised in a layer, the reason as well."""
    told = raised_by(function, error, when)
    lines = [line.strip() for line in _STYLE.sub("", str(error)).splitlines() if line.strip()]
    if len(lines) < 2 or not lines[0].startswith(_IN_LAYER):
        return told
    return OwnError(str(told).replace(lines[0], f"{lines[0]} {lines[1]}"), told.details)
