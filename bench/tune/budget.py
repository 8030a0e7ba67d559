"""The time that a search may take, as it is given on the command line."""

from __future__ import annotations

import re
import shlex

from feedbench.bench.errors import PlanError

DEFAULT = "10m"
_UNITS = {"s": 1, "m": 60, "h": 3600}
_OPTION = "--budget"


def budget_seconds(text: str) -> float:
    """Convert a time such as `90s`, `5m` or `1h` to seconds.

    Raises:
        PlanError: the text is not a time, or it is zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or not float(match[1]):
        raise PlanError(f"{_OPTION} {text}: must be a time such as 90s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2]]


def with_longer_budget(command: str) -> str:
    """Return a `feedbench tune` command with twice its budget, and at least a minute."""
    words = shlex.split(command)
    kept, given = [], DEFAULT
    for previous, word in zip(["", *words], words, strict=False):
        if previous == _OPTION:
            given = word
        elif word.startswith(f"{_OPTION}="):
            given = word.partition("=")[2]
        elif word != _OPTION:
            kept.append(word)
    seconds = max(60.0, 2 * budget_seconds(given))
    return shlex.join([*kept, _OPTION, f"{seconds:g}s" if seconds % 60 else f"{seconds / 60:g}m"])
