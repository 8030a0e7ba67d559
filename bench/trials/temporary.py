"""Temporary folders; those of a process that was killed are removed by the next one."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

_PREFIX = "feedbench-"
_MARK = ".locked-while-in-use"  # a folder without it is never removed: it may be a user's


class TemporaryFolder:
    """A new folder, locked until `remove` is called or this process ends, however it ends."""

    def __init__(self) -> None:
        remove_abandoned()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        # Locked before it has its name, so that no other process finds it unlocked.
        unnamed = self.path / ".new"
        self._lock = unnamed.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / _MARK)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        self._folder.cleanup()
        self._lock.close()


@cache
def remove_abandoned() -> None:
    """Remove the folders of processes that were killed; only the first call in a process does."""
    for mark in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_MARK}"):
        with suppress(OSError), mark.open() as file:  # locked, another user's, or just removed
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)
