"""The number of usable processor cores."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_counts(cores: int) -> tuple[int, ...]:
    """Return numbers of threads worth trying: a quarter, half, all and twice the cores."""
    return tuple(sorted({max(1, cores // 4), max(1, cores // 2), cores, 2 * cores}))
