"""CPU time and disk reads of blocks, from a reading before them and one after them."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from feedbench.bench.meters.process import Usage, tree_usage
from feedbench.bench.record import TimedBlock


class Used(NamedTuple):
    """What this process and its children had used at one time, seconds of `perf_counter`."""

    at: float
    usage: Usage


def used_now() -> Used:
    """Return what has been used so far; this takes some milliseconds."""
    return Used(perf_counter(), tree_usage())


def with_usage(blocks: list[TimedBlock], used: list[Used]) -> list[TimedBlock]:
    """Return the blocks with their share, by time, of what was used between two readings."""
    if len(used) < 2:
        return blocks
    seconds, total = used[1].at - used[0].at, used[1].usage.since(used[0].usage)
    return [
        block.model_copy(
            update={
                "cpu_s": round(total.cpu_s * block.seconds / seconds, 4),
                "disk_read_bytes": round(total.read_bytes * block.seconds / seconds)
                if total.disk_known
                else None,
            }
        )
        for block in blocks
    ]
