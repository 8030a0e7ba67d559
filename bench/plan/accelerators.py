"""Profiles of accelerators: measured training rates with their conditions and sources."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import tomli_w

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.errors import PlanError, RecordError
from feedbench.bench.files import write_text
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.loaders import alternatives

BUILT_IN = Path(__file__).with_name("accelerators.toml")
USER_FILE = "accelerators.toml"
PREFIX = "emulated:"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def accelerators() -> dict[str, Accelerator]:
    """Return the built-in profiles and the user's, which override those of the same name.

    Raises:
        PlanError: the user's file is not valid; the text names the field.
    """
    path = user_file()
    own = _read(path) if path is not None and path.exists() else {}
    return built_in_accelerators() | own


def built_in_accelerators() -> dict[str, Accelerator]:
    """Return the profiles that come with Feedbench."""
    return _read(BUILT_IN)


def find_accelerator(name: str) -> Accelerator:
    """Return the profile of that name.

    Raises:
        PlanError: no profile has that name; the text lists those that exist.
    """
    known = accelerators()
    if name not in known:
        raise PlanError(
            f"no accelerator {name!r}; {alternatives(name.lower(), known)}; feedbench calibrate "
            "adds this machine's"
        )
    return known[name]


def accelerator_of(consumer: str) -> Accelerator | None:
    """Return the profile that a consumer emulates; None if it emulates nothing.

    Raises:
        PlanError: no profile has that name.
    """
    if not consumer.startswith(PREFIX):
        return None
    return find_accelerator(consumer.removeprefix(PREFIX))


def add_accelerator(name: str, accelerator: Accelerator) -> Path:
    """Save a profile in the user's file, replacing one of the same name, and return the file.

    Raises:
        PlanError: the name is not valid, or the user's file is not.
        RecordError: the file cannot be written.
    """
    check_name(name)
    path = user_file()
    if path is None:
        raise RecordError(
            f"user {os.getuid()} has no home folder: set FEEDBENCH_CONFIG to a folder for profiles"
        )
    profiles = _read(path) if path.exists() else {}
    profiles[name] = accelerator
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(
            f"{path}: {error.strerror}; set FEEDBENCH_CONFIG to another folder"
        ) from error
    tables = {key: value.model_dump(exclude_none=True) for key, value in profiles.items()}
    write_text(path, tomli_w.dumps(tables))
    return path


def check_name(name: str) -> None:
    """Check that a name can be used in `--consumer emulated:NAME`.

    Raises:
        PlanError: the name is not valid.
    """
    if not _NAME.fullmatch(name):
        raise PlanError(
            f"accelerator {name!r}: a name must start with a small letter or a digit and may hold "
            "small letters, digits, dots, hyphens and underscores"
        )


def user_file() -> Path | None:
    """Return the path of the user's profiles; FEEDBENCH_CONFIG overrides its folder.

    Returns:
        None if the user has no home folder, as may be in a container.
    """
    if folder := os.environ.get("FEEDBENCH_CONFIG"):
        return Path(folder) / USER_FILE
    from platformdirs import user_config_path

    try:
        path = user_config_path("feedbench")
    except RuntimeError:
        return None
    return None if path.parts[0] == "~" else path / USER_FILE  # as earlier versions return


def _read(path: Path) -> dict[str, Accelerator]:
    return {
        name: parse_model(Accelerator, values, f"{path}: {name}")
        for name, values in _tables(path).items()
    }


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    tables = read_toml(path)
    for name, values in tables.items():
        if not isinstance(values, dict):
            raise PlanError(f"{path}: {name}: must be a table, [{name}], got {values!r}")
    return tables
