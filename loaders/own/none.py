"""None as the value of a setting, for which TOML has no word."""

from __future__ import annotations

from typing import Any

NONE = "None"  # stands for it


def without_none(value: Any) -> Any:
    """The value, with the text `NONE` in place of each None in it."""
    if isinstance(value, list | tuple):
        return [without_none(one) for one in value]
    return NONE if value is None else value


def with_none(value: Any) -> Any:
    """The value, with None in place of each text that stands for it."""
    if isinstance(value, list):
        return [with_none(one) for one in value]
    return None if value == NONE else value
