"""The number of usable processor cores."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress

from feedbench.loaders.control_groups import groups, value


def usable_cores() -> int:
    """Cores that this process may keep busy: its CPUs, at most the quota of its control groups."""
    return max(1, min([_cpus(), *_quotas()]))


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_counts(cores: int) -> tuple[int, ...]:
    """Return numbers of threads worth trying: a quarter, half, all and twice the cores."""
    return tuple(sorted({max(1, cores // 4), max(1, cores // 2), cores, 2 * cores}))


def _quotas() -> Iterator[int]:
    """The CPU time per second of each control group that has a limit, rounded up."""
    for group in groups("cpu"):
        quota, period = value(group, "cpu.cfs_quota_us"), value(group, "cpu.cfs_period_us")
        with suppress(OSError, ValueError):
            quota, period = map(int, (group / "cpu.max").read_text().split())  # not "max"
        if quota is not None and period and quota > 0:  # version 1 has -1 for no limit
            yield math.ceil(quota / period)
