"""Objects kept in a local folder up to a size; those that were not used for longest go first.

Each entry is a file, named by a hash of the object's path, its version and the range, so that the
bytes of an object that was replaced are never found again. A checksum ends it. Entries appear whole
or not at all. Several processes share a folder without a lock, which a process that is stopped
between two blocks of a bench would keep from the others: each counts the entries, takes a share of
the room that is left, and counts again when it is used up.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock, get_ident
from time import time

from feedbench.loaders.cache_folder import cache_folder
from feedbench.loaders.errors import SettingsError
from feedbench.replacing import PART

FOLDER, LIMIT = "FEEDBENCH_OBJECT_CACHE", "FEEDBENCH_OBJECT_CACHE_GB"
_DEFAULT_GB = 10.0
_EVICTED_TO = 0.9  # of the limit, so that not every new entry evicts another
_TOUCHED_S = 60.0  # entries used again within this time keep their time: that costs a write
_ABANDONED_S = 3600.0  # after which the part of an entry is that of a process that was killed
_CHECKSUM = struct.Struct("<I")
_SHARE = 1 / 50  # of the room that is left, which a process fills before it counts again


class ObjectCache:
    """The entries in a folder, up to `limit` bytes, and 2 % more per process beyond the first."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._room = 0.0  # bytes that this process may add before it counts again
        self._lock = Lock()

    def get(self, key: bytes) -> bytes | None:
        """The bytes of an entry; None if there is none, or it is damaged."""
        try:
            file = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(file)
            data = os.read(file, status.st_size)
            while len(data) < status.st_size and (more := os.read(file, status.st_size)):
                data += more
            if time() - status.st_mtime > _TOUCHED_S:
                os.utime(file)
        except OSError:
            return None
        finally:
            os.close(file)
        whole = data[: -_CHECKSUM.size]
        is_sound = len(data) >= _CHECKSUM.size and data.endswith(_checksum(whole))
        return whole if is_sound else None

    def put(self, key: bytes, data: bytes) -> None:
        """Keep an entry if the limit and the disk allow it; the reader has the bytes anyway."""
        size = len(data) + _CHECKSUM.size
        if size > self.limit:
            return
        path = self._path(key)
        beside = path.with_name(f"{PART}{os.getpid()}-{get_ident()}.{path.name}")
        with suppress(OSError):  # the disk is full, or the folder cannot be written
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(size)
            try:
                beside.write_bytes(data + _checksum(data))
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)

    def drop(self, key: bytes) -> None:
        """Remove an entry, if there is one."""
        with suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: bytes) -> Path:
        name = hashlib.blake2b(key, digest_size=16).hexdigest()
        return self.folder / name[:2] / name[2:]

    def _make_room(self, size: int) -> None:
        """Take an entry's bytes from this process' share; if they exceed it, count and evict."""
        with self._lock:
            if size > self._room:
                left = self.limit - self._evict(size) - size
                self._room = size + left * _SHARE
            self._room -= size

    def _evict(self, size: int) -> int:
        """Make room for new bytes, if it has to be; return how many bytes there are then."""
        entries = sorted(self._entries())
        used = sum(entry[1] for entry in entries)
        if used + size <= self.limit:
            return used
        for _, length, path in entries:
            if used + size <= _EVICTED_TO * self.limit:
                break
            with suppress(OSError):
                Path(path).unlink()
                used -= length
        return used

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        """When each entry was used last, its size and its path."""
        for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
            for entry in os.scandir(folder):
                with suppress(OSError):
                    status = entry.stat()
                    is_part = entry.name.startswith(PART)
                    if is_part and time() - status.st_mtime > _ABANDONED_S:
                        Path(entry.path).unlink()
                    else:
                        yield (status.st_mtime, status.st_size, entry.path)


def _checksum(data: bytes) -> bytes:
    return _CHECKSUM.pack(zlib.crc32(data))


def object_cache() -> ObjectCache:
    """The cache that the environment states.

    Raises:
        SettingsError: its limit is not a number.
    """
    folder = os.environ.get(FOLDER) or str(cache_folder() / "objects")
    return _cache(folder, os.environ.get(LIMIT) or str(_DEFAULT_GB))


@lru_cache(maxsize=4)
def _cache(folder: str, limit: str) -> ObjectCache:
    try:
        gigabytes = float(limit)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise SettingsError(
            f"{LIMIT} must be a number of gigabytes of at least 0, got {limit!r}; 0 keeps nothing"
        )
    return ObjectCache(Path(folder), int(gigabytes * 1e9))


def object_cache_bytes() -> int:
    """The number of bytes that the local cache of objects holds at most."""
    return object_cache().limit
