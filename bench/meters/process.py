"""CPU time, memory and disk reads of a process and its children, from /proc and psutil."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from feedbench.loaders import fetched_bytes


@dataclass(frozen=True)
class Usage:
    """What a process tree has used since it started.

    Attributes:
        cpu_s: CPU seconds, user and system.
        read_bytes: bytes read from the disk, without page-cache hits.
        disk_known: False if the system does not report bytes read.
        fetched_bytes: bytes read from object storage; None if no process has read an object.
    """

    cpu_s: float
    read_bytes: int
    disk_known: bool = True
    fetched_bytes: int | None = None

    def since(self, before: Usage) -> Usage:
        """Return what was used after an earlier reading."""
        fetched = self.fetched_bytes
        if fetched is not None:
            fetched -= before.fetched_bytes or 0
        return Usage(
            self.cpu_s - before.cpu_s, self.read_bytes - before.read_bytes, self.disk_known, fetched
        )


def tree_usage(pid: int | None = None) -> Usage:
    """Return the usage of a process and its children, also of those that ended; of this by default.

    The system adds what a process has read and computed to its parent once it has ended.
    """
    cpu_s, read_bytes, disk_known = 0.0, 0, True
    fetched: list[int] = []
    for process in _tree(pid):
        if (of_process := fetched_bytes(process.pid)) is not None:
            fetched.append(of_process)
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            cpu_s += times.user + times.system
            # Of children that have ended, such as the workers of an epoch.
            cpu_s += times.children_user + times.children_system
            try:
                read_bytes += process.io_counters().read_bytes
            except (AttributeError, psutil.AccessDenied):
                disk_known = False
    return Usage(cpu_s, read_bytes, disk_known, sum(fetched) if fetched else None)


def tree_peak_memory(pid: int | None = None) -> int:
    """Return a process's peak resident bytes plus the bytes unique to each child now.

    By default of this process; 0 if it has ended. Pages that children share with their parent
    since the fork are counted once.
    """
    processes = _tree(pid)
    total = sum(_peak_resident(process) for process in processes[:1])
    for child in processes[1:]:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += child.memory_full_info().uss
    return total


def tree_memory(pid: int) -> int:
    """Return the resident bytes of a process and its children; shared pages count repeatedly."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total


def outside_group(pid: int) -> list[psutil.Process]:
    """Return the children of a process that have left its process group; none if it has ended."""
    outside = []
    with suppress(ProcessLookupError):
        group = os.getpgid(pid)
        for process in _tree(pid)[1:]:
            with suppress(ProcessLookupError):
                if os.getpgid(process.pid) != group:
                    outside.append(process)
    return outside


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes; those that have ended are ignored."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _tree(pid: int | None) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _peak_resident(process: psutil.Process) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)


def out_of_memory_kills() -> int:
    """Return the number of processes that the kernel's OOM killer has killed since boot."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
