"""Bytes that a process has read from object storage, where other processes can read their number.

`/proc` counts what a process reads from disks, but not what comes over the network. So each process
counts for itself, in a file that is named by its id: in memory, or else on a disk.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path

_COUNT = struct.Struct("<q")
_MEMORY = Path("/dev/shm")
_DISK = Path("/tmp")  # not what TMPDIR says, which differs between the processes of a run


class _Counter:
    """The count of this process."""

    def __init__(self) -> None:
        first, second = _paths(os.getpid())
        try:
            self._memory = _shared(first)
        except OSError:  # containers have little memory for files, which others may have filled
            self._memory = _shared(second)

    def add(self, count: int) -> None:
        _COUNT.pack_into(self._memory, 0, _COUNT.unpack_from(self._memory)[0] + count)


def _shared(path: Path) -> mmap.mmap:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    _remove_abandoned(path.parent)
    try:
        with path.open("w+b") as file:
            file.write(_COUNT.pack(0))
            file.flush()
            return mmap.mmap(file.fileno(), _COUNT.size)
    except OSError:
        path.unlink(missing_ok=True)
        raise


_lock = threading.Lock()
_counters: dict[int, _Counter] = {}


def count(size: int) -> None:
    """Add to the bytes that this process has read.

    Raises:
        OSError: they cannot be counted anywhere.
    """
    with _lock:
        pid = os.getpid()
        if pid not in _counters:
            _counters[pid] = _Counter()
        _counters[pid].add(size)


def fetched_bytes(pid: int) -> int | None:
    """Bytes that a running process has read; None if it has not read a single object."""
    for path in _paths(pid):
        with suppress(OSError, struct.error):
            return int(_COUNT.unpack(path.read_bytes())[0])
    return None


def _paths(pid: int) -> tuple[Path, Path]:
    """Where the count of a process may be; the first one is preferred."""
    name = f"feedbench-fetched-{os.getuid()}"
    return _MEMORY / name / str(pid), _DISK / name / str(pid)


def _remove_abandoned(folder: Path) -> None:
    """Remove the counts of processes that have ended."""
    for path in folder.iterdir():
        if path.name.isdecimal() and not Path("/proc", path.name).exists():
            path.unlink(missing_ok=True)


def _after_fork() -> None:
    """A lock that another thread held at a fork would stay locked in the child."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
