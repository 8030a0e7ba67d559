"""The folder that a pack is written to: its lock, its space, and what a killed process left."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from feedbench.loaders.amounts import amount
from feedbench.loaders.errors import SettingsError
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.pack.about import (
    ABOUT,
    AGAIN,
    About,
    check_about,
    check_rows,
    is_whole,
    parse_about,
)
from feedbench.loaders.pack.pack import PARTIAL
from feedbench.replacing import PART

LOCK = "lock"


@contextmanager
def system_errors(folder: Path) -> Iterator[None]:
    """Raise errors of the system as a SettingsError of one line."""
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"pack {folder}: {error.strerror or error}; fix that and start again, or name another "
            "folder"
        ) from error


def lock(folder: Path) -> int:
    """Create and lock a folder; closing the returned file, or the end of the process, unlocks it.

    Raises:
        SettingsError: another process holds the lock.
        OSError: it cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A process that could not start a pack may have removed the file in the meantime.
        if os.fstat(file).st_ino == os.stat(path).st_ino:
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    raise SettingsError(
        f"pack {folder}: another process is writing it; wait for it or name another folder"
    )


@contextmanager
def nothing_left_on_error(folder: Path, *, existed: bool) -> Iterator[None]:
    """If a new pack cannot be started, remove all new files in its locked folder, and the lock.

    Args:
        existed: whether the folder did before it was locked; if not, it is removed too.
    """
    before = set(folder.iterdir()) - {folder / LOCK}
    is_new = _partial(folder) not in before and not is_whole(folder)
    try:
        yield
    except BaseException:
        if is_new:
            for path in set(folder.iterdir()) - before:
                path.unlink()
            with suppress(OSError):  # another process may have created a file there
                if not existed:
                    folder.rmdir()
        raise


def check_resumable(folder: Path, about: About, manifest: Manifest) -> None:
    """Check that a folder is empty, or holds a part of the same pack.

    Raises:
        SettingsError: it does not.
    """
    if is_whole(folder):
        raise SettingsError(f"pack {folder}: another process has just completed it; start again")
    path = _partial(folder)
    if path.exists():
        started = parse_about(path.read_bytes(), folder)
        check_about(folder, started, about)
        if started.root != about.root:
            raise SettingsError(
                f"pack {folder}: was started with the images of {started.root}, not of "
                f"{about.root}; {AGAIN}"
            )
        check_rows(folder, started, about, manifest)
    elif any(path.name != LOCK and not path.name.startswith(PART) for path in folder.iterdir()):
        raise SettingsError(f"pack {folder}: not empty; name a new or empty folder")


def undo_finish(folder: Path) -> None:
    """Undo a finish that was killed: no file may look complete before all are."""
    for path in folder.glob(f"{PART}*"):
        path.unlink()
    for path in folder.glob("images-*"):
        if path.suffix in (".npy", ".tfrecord"):
            path.replace(path.with_name(path.name + PARTIAL))


def check_space(folder: Path, need: int) -> None:
    """Refuse a pack that does not fit on the disk.

    Raises:
        SettingsError: the disk has too little space.
    """
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SettingsError(
            f"pack {folder}: needs {amount(need)}, {amount(free)} are free; free some space or "
            "name a folder on another disk"
        )


def _partial(folder: Path) -> Path:
    return folder / (ABOUT + PARTIAL)
