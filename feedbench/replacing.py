"""Files that appear whole or not at all, even if the process is killed or the disk is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part."  # how the name of an unfinished file begins


@contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and rename it to `path` if the body succeeds.

    If the process is killed, the disk is full or the machine crashes, `path` is either the
    complete new file or the unchanged old one. The temporary file has the same suffix, since
    libraries choose a format by it.

    Args:
        alone: whether no other process writes the file at the same time. The temporary file then
            always has the same name, so what a killed process has left of it is overwritten.

    Raises:
        OSError: the file cannot be written.
    """
    temporary = path.with_name(PART + (path.name if alone else f"{os.getpid()}.{path.name}"))
    try:
        yield temporary
        _to_disk(temporary)
        temporary.replace(path)
        with suppress(OSError):  # some network file systems cannot do that with a folder
            _to_disk(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Flush a file or a folder to the disk.

    A file that is renamed before that may be empty after a crash of the machine, and a new name in
    a folder may be gone.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
