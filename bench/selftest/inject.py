"""Injections: fewer cores, and storage that a control group throttles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from feedbench.bench.errors import InjectionError
from feedbench.bench.selftest.case import Injection
from feedbench.loaders import usable_cores

_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Target:
    """What an injection is relative to.

    Attributes:
        folder: whose disk is throttled.
        images_per_second: of the loader from memory.
        mean_bytes: of a file.
    """

    folder: Path
    images_per_second: float
    mean_bytes: float


@contextmanager
def injected(injection: Injection, target: Target) -> Iterator[None]:
    """Apply an injection to this process; children that it starts keep it.

    Raises:
        InjectionError: there are too few cores, or storage cannot be throttled.
    """
    with ExitStack() as stack:
        if injection.cores is not None:
            stack.enter_context(_on_cores(injection.cores))
        if injection.reads is not None:
            reads = injection.reads * target.images_per_second
            limit = reads if injection.operations else reads * target.mean_bytes
            group = _group_for(target.folder, round(limit), injection.operations)
            stack.enter_context(_inside(group))
        yield


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    if usable_cores() < count or not hasattr(os, "sched_setaffinity"):
        raise InjectionError(f"needs {count} cores that processes can be bound to")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _inside(group: Path) -> Iterator[None]:
    """Move this process into a control group, and back; the group ends with its last process."""
    home = _home(group)
    try:
        _move(group)
        yield
    finally:
        _move(home)


def _group_for(folder: Path, limit: int, operations: bool) -> Path:
    """Return a control group whose reads from the folder's disk are limited, per second.

    Raises:
        InjectionError: the system does not allow it.
    """
    try:
        first = _GROUPS / "blkio"
        group = (first if first.is_dir() else _GROUPS) / f"feedbench-{os.getpid()}-{limit}"
        disk = _disk_of(folder)
        if first.is_dir():
            group.mkdir(exist_ok=True)
            kind = "iops" if operations else "bps"
            (group / f"blkio.throttle.read_{kind}_device").write_text(f"{disk} {limit}\n")
        else:
            (_GROUPS / "cgroup.subtree_control").write_text("+io\n")
            group.mkdir(exist_ok=True)
            (group / "io.max").write_text(f"{disk} {'riops' if operations else 'rbps'}={limit}\n")
        return group
    except OSError as error:
        reason = error.strerror or str(error)
        raise InjectionError(f"storage cannot be throttled by a control group: {reason}") from error


def _disk_of(folder: Path) -> str:
    """Return the whole disk of a folder as `major:minor`.

    Raises:
        OSError: the folder is not on a disk.
    """
    device = os.stat(folder).st_dev
    found = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve(strict=True)
    disk = found.parent if (found / "partition").exists() else found
    return (disk / "dev").read_text().strip()


def _home(group: Path) -> Path:
    """Return the control group of this process, in the hierarchy of another group."""
    controller = "blkio" if group.parent.name == "blkio" else ""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return group.parent / path.lstrip("/")
    return group.parent


def _move(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def remove_groups() -> None:
    """Remove the control groups of this process that hold no processes any more."""
    for group in (*_GROUPS.glob(_OWN), *_GROUPS.glob(f"blkio/{_OWN}")):
        with suppress(OSError):
            group.rmdir()


_OWN = f"feedbench-{os.getpid()}-*"
