"""Facts as text, and in which of them two records differ."""

from __future__ import annotations

from typing import Any


def as_text(value: Any) -> str:
    """Return a fact as a reader expects it."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not installed" if value is None else str(value)


def differing(expected: dict[str, str], actual: dict[str, str]) -> str:
    """Return the facts that differ, such as `cores 4 against 2`; "" if none do.

    Facts that only one side knows are not compared.
    """
    return ", ".join(
        f"{name} {text} against {actual[name]}"
        for name, text in expected.items()
        if name in actual and actual[name] != text
    )
