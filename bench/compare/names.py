"""Short names of runs, by the ends of their paths from which on they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return a different name for each path.

    The parts that all paths begin with are left out; equal paths are numbered.
    """
    parts = [path.absolute().parts for path in paths]
    shared = _shared(parts)
    names = [str(Path(*(one[shared:] or one[-1:]))) for one in parts]
    if len(set(names)) == len(names):
        return names
    return [f"{number}: {name}" for number, name in enumerate(names, 1)]


def _shared(parts: Sequence[tuple[str, ...]]) -> int:
    """Return the number of parts that all begin with; each path keeps its last one."""
    least = min(map(len, parts)) - 1
    return next((index for index in range(least) if len({one[index] for one in parts}) > 1), least)
