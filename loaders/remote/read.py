"""Reading images of objects: from the local cache, or over the network and into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import NamedTuple

from feedbench.loaders.address import Extent, Version, extent_of, file_of, is_remote, version_of
from feedbench.loaders.remote.cache import object_cache
from feedbench.loaders.remote.calls import threads
from feedbench.loaders.remote.fetched import count
from feedbench.loaders.remote.path import place_of
from feedbench.loaders.remote.store import Span

DEPTH = 16  # objects read at once where no setting says how many
_ALWAYS_FETCH = "FEEDBENCH_ALWAYS_FETCH"  # set for the processes of a run with cold objects


class _Part(NamedTuple):
    """What an address stands for: an object or a part of it, before anything is decompressed."""

    path: bytes
    version: Version | None
    span: Span | None

    @property
    def key(self) -> bytes:
        """What its entry in the cache is named by."""
        version = self.version.encoded() if self.version else b""
        return b"\0".join((self.path, version, repr(self.span).encode()))

    @property
    def size(self) -> int | None:
        """Its number of bytes, as listed."""
        if self.span is not None:
            return self.span[1]
        return None if self.version is None else self.version.size


def _part_of(address: bytes, extent: Extent | None) -> _Part:
    span = None if extent is None else (extent.offset, extent.length)
    return _Part(file_of(address), version_of(address), span)


def read_object(
    address: bytes, extent: Extent | None, is_cancelled: Callable[[], bool] = lambda: False
) -> bytes:
    """The bytes of an object, or of an extent in one, still compressed if they are in it.

    Raises:
        OSError: the object is gone, was replaced, or cannot be read.
    """
    part = _part_of(address, extent)
    if part.size == 0:
        return b""
    cache = object_cache()
    is_kept = part.version is not None and cache.limit > 0
    is_looked_up = is_kept and _ALWAYS_FETCH not in os.environ
    data = cache.get(part.key) if is_looked_up else None
    count(0)  # a process that reads objects has a count, even if all of them are cached
    if data is None or len(data) != part.size:
        data = _fetched(part, is_cancelled)
        if is_kept:
            cache.put(part.key, data)
    return data


def _fetched(part: _Part, is_cancelled: Callable[[], bool]) -> bytes:
    place = place_of(part.path)
    data = place.store.read(place.bucket, place.key, part.version, part.span, is_cancelled)
    count(len(data))
    if part.size not in (None, len(data)):
        raise OSError(errno.EIO, "the object ends before these bytes")
    return data


def always_fetch() -> None:
    """Have this process and its children fetch every object, as if none were in the cache.

    They still write into it, as a first epoch does.
    """
    os.environ[_ALWAYS_FETCH] = "1"


def drop_cached(address: bytes) -> None:
    """Remove an image from the local cache."""
    object_cache().drop(_part_of(address, extent_of(address)).key)


def read_into_cache(addresses: Iterable[bytes], depth: int = DEPTH) -> None:
    """Read the objects among some addresses, several at once; leave errors to who needs them."""
    remote = [one for one in addresses if is_remote(one)]
    if not remote or not object_cache().limit:
        return

    def read(address: bytes) -> None:
        with suppress(OSError):
            read_object(address, extent_of(address), is_over)

    with threads(depth, "feedbench-fetch") as (pool, is_over):
        for _ in pool.map(read, remote):
            pass


class Fetching(bytes):
    """An address whose bytes are already being read."""

    future: Future[bytes]

    def result(self) -> bytes:
        """Its bytes, once they are there.

        Raises:
            OSError: the object is gone, was replaced, or cannot be read; or the reader was closed.
        """
        try:
            return self.future.result()
        except CancelledError:
            raise OSError(errno.ECANCELED, "reading was stopped") from None
