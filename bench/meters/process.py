"""Processor time, memory and disk reads of this process and its children, from /proc by psutil."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Usage:
    """What a process tree has used since it began.

    Attributes:
        cpu_s: processor seconds, user and system.
        read_bytes: bytes that came from the disk; page-cache hits are not among them.
        disk_known: False where the system does not tell.
    """

    cpu_s: float
    read_bytes: int
    disk_known: bool = True

    def since(self, before: Usage) -> Usage:
        """What was used after `before`."""
        return Usage(
            self.cpu_s - before.cpu_s, self.read_bytes - before.read_bytes, self.disk_known
        )


def tree_usage() -> Usage:
    """Of this process and the children that it has now."""
    cpu_s, read_bytes, disk_known = 0.0, 0, True
    for process in _tree():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            cpu_s += times.user + times.system
            try:
                read_bytes += process.io_counters().read_bytes
            except (AttributeError, psutil.AccessDenied):
                disk_known = False
    return Usage(cpu_s, read_bytes, disk_known)


def tree_peak_memory() -> int:
    """Bytes: this process's largest resident size ever, and what its children hold alone now.

    Pages that children share with their parent since the fork are counted once.
    """
    here, *children = _tree()
    total = _largest_resident(here)
    for child in children:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += child.memory_full_info().uss
    return total


def tree_memory(pid: int) -> int:
    """Bytes resident in a process and its children now; pages that they share count for each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        here = psutil.Process(pid)
        for process in [here, *here.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total


def _tree() -> list[psutil.Process]:
    here = psutil.Process()
    return [here, *here.children(recursive=True)]


def _largest_resident(process: psutil.Process) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)


def available_memory() -> int:
    """Bytes that may still be taken: the system's, or less where a control group allows less."""
    free = int(psutil.virtual_memory().available)
    return min([free, *_cgroup_rooms()])


def _cgroup_rooms() -> list[int]:
    pairs = [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ]
    rooms = []
    for limit, used in pairs:
        with suppress(OSError, ValueError):
            rooms.append(_cgroup_value(limit) - _cgroup_value(used))
    return rooms


def _cgroup_value(name: str) -> int:
    return int((Path("/sys/fs/cgroup") / name).read_text())


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since it booted."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
