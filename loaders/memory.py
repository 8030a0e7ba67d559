"""Memory that is available to this process."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from feedbench.loaders.control_groups import groups, statistic, value

# Limits, usage, and the page cache that the kernel frees first; of version 2, then of version 1.
_LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
_USAGE = ("memory.current", "memory.usage_in_bytes")
_FREEABLE = ("inactive_file", "total_inactive_file")


def available_memory() -> int:
    """Bytes that can be allocated without swapping, at most what the control groups allow.

    Files that were read are held in memory until it is needed: that memory is available.
    """
    return max(0, min([int(psutil.virtual_memory().available), *_left_in_groups()]))


def _left_in_groups() -> Iterator[int]:
    for group in groups("memory"):
        used = max((value(group, name) or 0 for name in _USAGE), default=0)
        freeable = max(statistic(group, "memory.stat", name) for name in _FREEABLE)
        for name in _LIMITS:
            limit = value(group, name)
            if limit is not None:
                yield limit - max(0, used - freeable)
