"""Files that appear whole or not at all, even if the process is killed or the disk is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part."  # how the name of an unfinished file begins


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place if the block succeeds.

    Raises:
        OSError: the file cannot be written.
    """
    beside = path.with_name(f"{PART}{os.getpid()}.{path.name}")
    try:
        yield beside
        _to_disk(beside)
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait for the disk: a file that is renamed first may be empty after a crash."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
