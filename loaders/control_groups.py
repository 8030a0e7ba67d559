"""The control groups that this process is in: what a container or a scheduler allows it.

Limits apply in every group from the process's own up to the root; a group that cannot be seen from
inside a container has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

MEMBERSHIP = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


def groups(controller: str) -> Iterator[Path]:
    """The folders of the groups with a controller, of versions 1 and 2, the process's own first."""
    with suppress(OSError, ValueError):
        for line in MEMBERSHIP.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0" and not controllers:
                yield from _up_to_root(ROOT, path)
            elif controller in controllers.split(","):
                yield from _up_to_root(ROOT / controller, path)
                yield from _up_to_root(ROOT / controllers, path)


def _up_to_root(mounted: Path, path: str) -> Iterator[Path]:
    own = PurePosixPath("/") / path
    for group in (own, *own.parents):
        folder = mounted / str(group).lstrip("/")
        if folder.is_dir():
            yield folder


def value(group: Path, name: str) -> int | None:
    """The number in a file of a group; None if there is none, or `max`."""
    with suppress(OSError, ValueError):
        return int((group / name).read_text().split()[0])
    return None


def statistic(group: Path, file: str, name: str) -> int:
    """The number after a name in a file of lines with a name and a number each; 0 without one."""
    with suppress(OSError, ValueError):
        for line in (group / file).read_text().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
    return 0
