"""Files that appear whole or not at all, even when the process is killed or the disk is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside the target to write to; it takes the target's place if nothing goes wrong."""
    beside = path.with_name(f".part.{path.name}")
    try:
        yield beside
        _to_disk(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait for the disk: after a crash of the machine a renamed file must not be empty."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
