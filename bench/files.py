"""Atomic writing of result files, and reading them as validated models."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from feedbench import replacing as whole
from feedbench.bench.errors import PlanError, RecordError
from feedbench.bench.signals import interrupts_deferred

if TYPE_CHECKING:  # the processes that generate photos import this module without pydantic
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")
ELSEWHERE = "name another file or another folder"
_LARGEST = 1e30  # more than anything that is measured, in any unit
_LARGEST_DERIVED = 1e100  # more than any figure that follows
_MOST_DIGITS = 20  # of an integer with 64 bits
CREATED = "created"  # the field of a result that says when it was made


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `path` if the body succeeds.

    Raises:
        RecordError: the file cannot be written.
    """
    try:
        with whole.replacing(path) as temporary:
            yield temporary
    except OSError as error:
        reason = error.strerror or error
        raise RecordError(f"{path}: {reason}; {ELSEWHERE}") from error


def writer_of(temporary: Path, path: Path) -> int | None:
    """Return the process that writes a temporary file in place of `path`; None for other files."""
    found = re.fullmatch(rf"{re.escape(whole.PART)}(\d+)\.{re.escape(path.name)}", temporary.name)
    return int(found[1]) if found else None


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8.

    Raises:
        RecordError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON-compatible values as indented JSON.

    Raises:
        RecordError: the file cannot be written.
    """
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_result(path: Path, values: dict[str, Any]) -> None:
    """Write the JSON-compatible values of a result, and when they are written as `created`.

    Raises:
        RecordError: the file cannot be written.
    """
    write_json(path, dated(values, datetime.now(UTC)))


def dated(values: dict[str, Any], created: datetime | None) -> dict[str, Any]:
    """Return the values of a result with when it was made as `created`, unless that is unknown."""
    return values if created is None else {CREATED: _as_text(created), **values}


def utc_now() -> str:
    """Return the time in UTC, to the second."""
    return _as_text(datetime.now(UTC))


def _as_text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def write_model(path: Path, model: BaseModel) -> None:
    """Write a model as indented JSON; Ctrl-C is delayed until the file is written.

    Raises:
        RecordError: the file cannot be written.
    """
    with interrupts_deferred():
        write_text(path, model.model_dump_json(indent=1) + "\n")


def parse_json(text: str | bytes, *, is_raw: bool = False) -> Any:
    """Return the values of a record.

    Args:
        is_raw: whether it holds only what was measured; derived values may be larger.

    Raises:
        ValueError: it is not JSON, which has no NaN and no infinity, or a number is out of the
            range that any measurement has.
    """
    number = _measured if is_raw else _derived
    return json.loads(text, parse_int=_integer, parse_float=number, parse_constant=_refused)


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _derived(text: str) -> float:
    return value if abs(value := float(text)) <= _LARGEST_DERIVED else _refused(text)


def _measured(text: str) -> float:
    return value if abs(value := float(text)) <= _LARGEST else _refused(text)


def _refused(text: str) -> float:
    raise ValueError(f"{text} is no number that can be measured")


def read_model(
    path: Path, model: type[Model], run: str, newest: int | None = None, *, is_raw: bool = False
) -> Model:
    """Read a model from a JSON file of `write_model` or `write_result`.

    Args:
        run: the kind of run that writes such files, for the error message.
        newest: the highest `schema_number` that can be read; None if the file has none.
        is_raw: as for `parse_json`.

    Raises:
        RecordError: the file does not exist or is not valid.
    """
    from pydantic import ValidationError

    from feedbench.loaders import explain

    try:
        values = parse_json(path.read_bytes(), is_raw=is_raw)
        if isinstance(values, dict) and CREATED not in model.model_fields:
            values.pop(CREATED, None)
        if newest is not None:
            check_schema(values, newest, str(path))
        return model.model_validate(values)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; give the folder of a {run}") from error
    except ValidationError as error:
        raise RecordError(f"{path}: {explain(error)}") from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise RecordError(f"{path}: not the record of a {run}: {error}") from error


def check_schema(values: dict[str, Any], newest: int, where: str) -> None:
    """Refuse a record that a newer feedbench wrote.

    Raises:
        RecordError: `schema_number` is above `newest`, or no number.
    """
    number = values.get("schema_number", 0)
    if not isinstance(number, int):
        raise RecordError(f"{where}: schema_number must be a whole number, got {number!r}")
    if number > newest:
        raise RecordError(f"{where}: schema {number} is newer than {newest}; upgrade feedbench")


@contextmanager
def removed_if_nothing_kept(folder: Path, *, but_for: str) -> Iterator[None]:
    """Remove a result folder if the body is refused or interrupted before there is a result.

    A trial that fails is no refusal: its log stays.

    Args:
        but_for: name of the file with which the folder is kept.
    """
    from feedbench.loaders import LoaderError

    try:
        yield
    except (KeyboardInterrupt, PlanError, LoaderError):
        with interrupts_deferred():
            if not (folder / but_for).exists():
                shutil.rmtree(folder, ignore_errors=True)
        raise


def new_folder(path: Path) -> Path:
    """Create a result folder and return it.

    Raises:
        RecordError: the folder cannot be created or is not empty.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise RecordError(f"{path}: not empty; name a new or empty folder with --out")
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; name another folder with --out") from error
    return path


def dated_folder(parent: Path, kind: str) -> Path:
    """Create a result folder named after its kind and the time, and return it.

    Of runs that begin in the same second, the second gets `-2`, and so on.

    Raises:
        RecordError: the folder cannot be created.
    """
    try:
        return free_folder(parent / dated_name(kind))
    except OSError as error:
        raise RecordError(f"{parent}: {error.strerror}; name another folder with --out") from error


def dated_name(kind: str) -> str:
    """The name of a result folder of now."""
    return f"{kind}-{datetime.now():%Y%m%d-%H%M%S}"


def free_folder(path: Path) -> Path:
    """Create a folder, with `-2`, `-3` and so on after its name if that is taken; return it.

    Raises:
        OSError: it cannot be created.
    """
    others = (path.with_name(f"{path.name}-{number}") for number in count(2))
    path.parent.mkdir(parents=True, exist_ok=True)
    return next(one for one in chain([path], others) if _is_created(one))


def _is_created(path: Path) -> bool:
    """Create a folder, unless another run has it."""
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True
