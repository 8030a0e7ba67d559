"""The first thing in which two workers differ."""

from __future__ import annotations

from typing import Any

_SHOWN = 60  # characters of a value


def first_difference(chief: Any, other: Any, where: str = "") -> str:
    """Return where two values differ first, and both; empty if they are equal.

    Dicts are compared in the order of the chief's keys.

    Args:
        chief, other: JSON-compatible.
        where: the names of the fields around them.
    """
    if isinstance(chief, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*chief, *other]):
            inside = f"{where}: {name}" if where else str(name)
            if found := first_difference(chief.get(name), other.get(name), inside):
                return found
        return ""
    if isinstance(chief, list) and isinstance(other, list) and len(chief) == len(other):
        for one, another in zip(chief, other, strict=True):
            if found := first_difference(one, another, where):
                return found
        return ""
    return "" if chief == other else f"{where} is {_text(other)}, not {_text(chief)}"


def _text(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
