"""Which files are opened in some folders, and closed again, by whatever process.

inotify sees every open, also those of TensorFlow's own threads and of worker processes, and needs
no privilege. `/proc/PID/fd` would miss files that are open for less than the time between two
looks; fanotify and tracing need privileges. inotify does not say who opened a file, so programs
that read the same folder meanwhile are seen too.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

_OPEN, _CLOSE_NOWRITE, _IS_DIR = 0x20, 0x10, 0x40000000
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_BUFFER = 1 << 16
_POLL_S = 0.1
_MOST_FOLDERS = 5_000  # Linux grants 8,192 watches per user at least


class OpenedFiles:
    """Watches folders inside a `with`.

    Attributes:
        paths: of the files that were opened so far.
        error: why some folders could not be watched.
    """

    def __init__(
        self, folders: Iterable[bytes], on_close: Callable[[bytes], None] = lambda path: None
    ) -> None:
        """Prepare to watch.

        Args:
            folders: without the folders inside them.
            on_close: called on a thread with each file that was read and is closed.
        """
        self.paths: set[bytes] = set()
        self.error: str | None = None
        self._folders = sorted(set(folders))[:_MOST_FOLDERS]
        self._on_close = on_close
        self._by_watch: dict[int, bytes] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="feedbench-opened", daemon=True)

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            self.error = os.strerror(ctypes.get_errno())
            return self
        for folder in self._folders:
            watch = libc.inotify_add_watch(self._file, folder, _OPEN | _CLOSE_NOWRITE)
            if watch < 0:
                self.error = os.strerror(ctypes.get_errno())
            else:
                self._by_watch[watch] = folder
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._file >= 0:
            os.close(self._file)

    def _read(self) -> None:
        while not self._stopped.is_set():
            if select.select([self._file], [], [], _POLL_S)[0]:
                self._take(os.read(self._file, _BUFFER))
        if select.select([self._file], [], [], 0)[0]:  # what came since the last look
            self._take(os.read(self._file, _BUFFER))

    def _take(self, events: bytes) -> None:
        offset = 0
        while offset < len(events):
            watch, mask, _, length = _EVENT.unpack_from(events, offset)
            offset += _EVENT.size + length
            name = events[offset - length : offset].rstrip(b"\0")
            if mask & _IS_DIR or not name or watch not in self._by_watch:
                continue
            path = os.path.join(self._by_watch[watch], name)
            if mask & _OPEN:
                self.paths.add(path)
            else:
                self._on_close(path)


def folders_below(root: bytes) -> list[bytes]:
    """Return a folder and those inside it, links followed once; of a file, its own folder."""
    if not Path(os.fsdecode(root)).is_dir():
        return [os.path.split(root)[0] or b"."]
    found = []
    for folder, inner, _ in os.walk(root):
        found.append(folder)
        if len(found) >= _MOST_FOLDERS:
            inner.clear()
            break
    return found
