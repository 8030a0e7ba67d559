"""Files of a result folder: written whole or not at all, and read back as validated models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from feedbench.bench.errors import RecordError
from feedbench.bench.signals import interrupts_deferred

if TYPE_CHECKING:  # the processes that generate photographs import this file and need no pydantic
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place if the block succeeds.

    Whether the process is killed, the disk is full or the machine crashes: `path` holds either
    the whole new file or the old one. The temporary file has the same suffix, by which libraries
    choose a format.

    Raises:
        RecordError: the file cannot be written.
    """
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        _to_disk(beside)
        beside.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise RecordError(f"{path}: {reason}; name another file or another folder") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait for the disk: a file that is renamed first may be empty after a crash."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8.

    Raises:
        RecordError: the file cannot be written.
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write plain values as indented JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_model(path: Path, model: BaseModel) -> None:
    """Write a model as indented JSON; Ctrl-C is delayed until the file is written."""
    with interrupts_deferred():
        write_text(path, model.model_dump_json(indent=1) + "\n")


def read_model(path: Path, model: type[Model], run: str, newest: int | None = None) -> Model:
    """Read a model from JSON.

    Args:
        run: the kind of run that writes this file, for the error message.
        newest: the highest `schema_number` that can be read; None if the file has none.

    Raises:
        RecordError: there is no such file, or it is not valid.
    """
    from pydantic import ValidationError

    from feedbench.loaders.explain import explain

    try:
        values = json.loads(path.read_bytes())
        if newest is not None:
            check_schema(values, newest, str(path))
        return model.model_validate(values)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; give the folder of a {run}") from error
    except ValidationError as error:
        raise RecordError(f"{path}: {explain(error)}") from error
    except (ValueError, AttributeError) as error:
        raise RecordError(f"{path}: not the record of a {run}: {error}") from error


def check_schema(values: dict[str, Any], newest: int, where: str) -> None:
    """Refuse a record that a newer feedbench wrote.

    Raises:
        RecordError: its `schema_number` is above `newest`.
    """
    number = values.get("schema_number", 0)
    if number > newest:
        raise RecordError(f"{where}: schema {number} is newer than {newest}; upgrade feedbench")


def new_folder(path: Path) -> Path:
    """Create a result folder.

    Raises:
        RecordError: it cannot be created or is not empty.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise RecordError(f"{path}: not empty; name a new folder by --out or remove it")
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; name another folder by --out") from error
    return path
