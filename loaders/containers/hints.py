"""What stands beside shards: `source.toml`, names of classes, and names of splits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from feedbench.loaders.containers.entries import Hints
from feedbench.loaders.errors import SourceError

HINTS, CLASSES = "source.toml", "classes.txt"
_FIELDS = ("image", "label", "classes")
_OF_TFDS = "*.labels.txt"


def read_hints(root: Path, folder: Path) -> Hints:
    """What files in the root of a source say of its shards, or those in the first shard's folder.

    Raises:
        SourceError: one of them cannot be read, or has other fields.
    """
    stated = _stated(root / HINTS) or _stated(folder / HINTS)
    classes = tuple(stated.pop("classes", ())) or _names(root) or _names(folder)
    return Hints(**stated, classes=classes)


def _stated(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error
    for name, value in values.items():
        if name not in _FIELDS:
            raise SourceError(f"{path}: no field {name!r}; there are {', '.join(_FIELDS)}")
        parts = value if name == "classes" and isinstance(value, list) else [value]
        is_list = isinstance(value, list)
        if is_list != (name == "classes") or not all(isinstance(part, str) for part in parts):
            wanted = "a list of names" if name == "classes" else "a name"
            raise SourceError(f"{path}: {name} must be {wanted}, got {value!r}")
    return values


def _names(folder: Path) -> tuple[str, ...]:
    """The lines of `classes.txt`, or of the file that TFDS writes for its class label."""
    for path in (folder / CLASSES, *sorted(folder.glob(_OF_TFDS))):
        if path.exists():
            try:
                return tuple(path.read_text("utf-8").split("\n"))[
                    : -1 if _ends_line(path) else None
                ]
            except (OSError, ValueError) as error:
                raise SourceError(f"{path}: cannot be read: {error}") from error
    return ()


def _ends_line(path: Path) -> bool:
    return path.read_bytes().endswith(b"\n")


def words(name: str) -> list[str]:
    """The words of a shard's name, among which may be that of its split."""
    return re.split(r"[^a-z]+", name.lower())
