"""Values of options, parsed from what the user wrote."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

from feedbench.bench.errors import PlanError

_WORDS = {"None": None, "True": True, "False": False}


def parse_set(
    options: Iterable[str], loaders: Iterable[str] | None = None, *, several: bool = True
) -> dict[str, dict[str, Any]]:
    """Parse settings of the form `LOADER.NAME=VALUE[,VALUE…]`.

    A value that is a list itself, such as `[1, 2]`, stands in a list: alone, that list is a grid.

    Args:
        loaders: those that the user named, for an example of that form.
        several: whether a setting may have several values.

    Returns:
        The values by loader, then by name; a list if there are several.

    Raises:
        PlanError: an option does not have that form.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in options:
        target, equals, value = text.partition("=")
        loader, dot, name = target.rpartition(".")  # pipeline.py:make_dataset has a dot too
        if not (equals and dot and name):
            raise PlanError(f"--set {text}: must be LOADER.NAME=VALUE, {_example(text, loaders)}")
        if not _is_utf_8(text):
            raise PlanError(f"--set {text}: is not UTF-8, and records are; use another path")
        values = _values(value)
        if len(values) > 1 and not several:
            raise PlanError(f"--set {text}: one value each; this command uses a single setting")
        is_grid = len(values) > 1 or (several and isinstance(values[0], list))
        settings.setdefault(loader, {})[name] = values if is_grid else values[0]
    return settings


def _is_utf_8(text: str) -> bool:
    """Whether a text of the command line can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _example(text: str, loaders: Iterable[str] | None) -> str:
    """Return the setting with the first loader that the user named, if that is a function."""
    from feedbench.loaders import is_own, short_name

    own = next(filter(is_own, loaders or ()), None)
    if own is None or not re.fullmatch(r"\w+=.+", text):
        return "such as tf_data.prefetch=4"
    return f"such as {short_name(own)}.{text}"


def parse_augment(options: Iterable[str]) -> dict[str, Any]:
    """Parse fields of `Augment` of the form `NAME=VALUE[,VALUE…]`.

    Raises:
        PlanError: an option does not have that form.
    """
    fields: dict[str, Any] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise PlanError(f"--augment {text}: must be NAME=VALUE, such as rotation=15")
        values = _values(value)
        fields[name] = values if len(values) > 1 or name == "on_device" else values[0]
    return fields


def parse_range(text: str) -> Any:
    """Parse a value range, `LOW,HIGH` or a name; `BatchSpec` checks whether it is allowed."""
    values = _values(text)
    return values if len(values) > 1 else values[0]


def _values(text: str) -> list[Any]:
    return [_value(part) for part in _parts(text)]


def _parts(text: str) -> list[str]:
    """Split at the commas that are not in brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{(") - (character in "]})")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _value(text: str) -> Any:
    """Return the number, boolean, None, list or dict that the text is, else the text."""
    if text in _WORDS:
        return _WORDS[text]
    for read in (json.loads, ast.literal_eval):  # such as [true] and [True]
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError):
            continue
        if isinstance(value, int | float | list | dict):
            return value
    return text
