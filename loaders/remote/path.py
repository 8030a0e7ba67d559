"""Paths of objects: what lists and opens shards takes them like paths of files."""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import Any, NamedTuple

from feedbench.loaders.address import SCHEMES, Version
from feedbench.loaders.errors import SourceError
from feedbench.loaders.remote.calls import threads
from feedbench.loaders.remote.fetched import count
from feedbench.loaders.remote.store import Page, Store, missing, store_of

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/+(.*)", re.DOTALL | re.IGNORECASE)
_OTHER_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:/.*", re.DOTALL)  # longer than the name of a drive
_PART_BYTES, _PARTS = 8 << 20, 4  # of a shard that is copied: at once, and how many at a time
_BUFFER_BYTES = 1 << 20  # read at a time where a library reads as from a file
_FOLDER = os.stat_result((stat.S_IFDIR | 0o555, 0, 0, 1, 0, 0, 0, 0, 0, 0))


class Place(NamedTuple):
    """Where an object is.

    Attributes:
        store: that holds it.
        bucket: its name there.
        key: of the object; of a folder without the slash at its end.
    """

    store: Store
    bucket: str
    key: str


def source_path(source: str | Path) -> Path:
    """The path of a source: of an object or a prefix if it begins with `s3://` or `gs://`.

    Raises:
        SourceError: it has credentials in it, or no bucket, or is an address of another kind.
    """
    found = _ADDRESS.fullmatch(str(source))
    if found is None:
        if _OTHER_ADDRESS.fullmatch(str(source)) and not Path(source).exists():
            raise SourceError(
                f"{str(source).partition(':')[0]}: no such folder or file, and addresses of images "
                "begin with s3:// or gs://"
            )
        return Path(source)
    scheme, rest = found[1].lower(), found[2]
    bucket = rest.partition("/")[0]
    # Not repeated: it may be a secret. No bucket has a colon; a secret may have a slash.
    if "@" in bucket or ":" in bucket:
        raise SourceError(
            f"{scheme}://…@…: an address must not hold credentials; leave them to the "
            f"environment or to {scheme}'s own files, and name {scheme}://BUCKET/PREFIX"
        )
    if not bucket:
        raise SourceError(f"{source}: no bucket; name {scheme}://BUCKET/PREFIX")
    return RemotePath(f"{scheme}://{rest}")


def place_of(path: bytes) -> Place:
    """Where an object is, by its path.

    Raises:
        LoaderError: the package for its storage is not installed.
    """
    scheme, _, rest = os.fsdecode(path).partition("://")
    bucket, _, key = rest.partition("/")
    return Place(store_of(scheme), bucket, key)


class RemotePath(PosixPath):
    """The path of an object or a prefix; of `Path`'s methods only those that read work."""

    def __str__(self) -> str:
        text = super().__str__()
        scheme, _, rest = text.partition(":/")
        return f"{scheme}://{rest.lstrip('/')}" if scheme in SCHEMES else text

    @property
    def place(self) -> Place:
        """Where it is."""
        return place_of(os.fsencode(self))

    @property
    def version(self) -> Version | None:
        """The version of the object; None if there is no such object.

        Raises:
            OSError: the storage does not answer, or denies access.
        """
        known: Version | None = getattr(self, "_version", None)
        if known is None and not getattr(self, "_is_folder", False):
            place = self.place
            known = place.store.version(place.bucket, place.key) if place.key else None
            self._version = known
        return known

    def pages(
        self, *, flat: bool = False, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[Page]:
        """The objects and folders in this one; with `flat`, also the objects in its folders.

        Raises:
            OSError: the storage does not answer, or denies access.
        """
        place = self.place
        prefix = place.key and f"{place.key}/"
        return place.store.pages(place.bucket, prefix, flat=flat, is_cancelled=is_cancelled)

    def absolute(self) -> RemotePath:
        """The same path."""
        return self

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """The status of the object, or of a folder.

        Raises:
            OSError: there is no such object.
        """
        if self.version is not None:
            return self.version.status
        if self.is_dir():
            return _FOLDER
        raise missing()

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is such an object or folder."""
        return self.is_file() or self.is_dir()

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is such an object."""
        return self.version is not None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether objects begin with this path and a slash."""
        known: bool | None = getattr(self, "_is_folder", None)
        if known is None:
            known = any(page.objects or page.folders for page in self.pages())
            self._is_folder = known
        return known

    def iterdir(self) -> Generator[RemotePath, None, None]:
        """The objects and folders in this one, page by page."""
        for page in self.pages():
            yield from (self._inner(name, None) for name in page.folders)
            yield from (self._inner(name, version) for name, version in page.objects)

    def matches(self) -> Iterator[RemotePath]:
        """The objects whose paths match this one, a pattern such as `s3://bucket/train-*.tar`."""
        signs = [index for index, part in enumerate(self.parts) if re.search(r"[*?\[]", part)]
        root = RemotePath(*self.parts[: signs[0]])
        pattern = str(self.relative_to(root))
        for page in root.pages(flat=len(self.parts) > signs[0] + 1):
            for name, version in page.objects:
                found = root._inner(name, version)
                is_as_deep = len(found.parts) == len(self.parts)
                if is_as_deep and found.relative_to(root).match(pattern):
                    yield found

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        """The object, opened to read its bytes, wherever the caller seeks to."""
        if mode != "rb":
            raise io.UnsupportedOperation(f"an object is opened to read its bytes, not {mode!r}")
        copy: str | None = getattr(self, "_copy", None)
        if copy is not None:
            return Path(copy).open("rb")
        return io.BufferedReader(_Ranges(self), _BUFFER_BYTES)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep a copy on the disk, which `open` opens: a shard is listed by reading most of it.

        Raises:
            OSError: the object cannot be read, or the disk is full.
        """
        if self.version is None:
            raise missing()
        with tempfile.NamedTemporaryFile(prefix="feedbench-shard-") as file:
            _download(self.place, self.version, file)
            self._copy = file.name
            try:
                yield
            finally:
                del self._copy

    def read_bytes(self) -> bytes:
        """The whole object."""
        with self.open("rb") as file:
            return bytes(file.read())

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """The whole object as text."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def glob(self, pattern: Any, **kwargs: Any) -> Iterator[RemotePath]:  # type: ignore[override]
        """The objects in this folder whose names match."""
        return (path for path in self.iterdir() if path.match(str(pattern)))

    def _inner(self, name: str, version: Version | None) -> RemotePath:
        path = self / name
        path._is_folder = version is None
        path._version = version
        return path


def _download(place: Place, version: Version, file: Any) -> None:
    """Write an object into a file, some parts at once."""
    store, bucket, key = place

    def copy(begin: int) -> None:
        length = min(_PART_BYTES, version.size - begin)
        data = store.read(bucket, key, version, (begin, length), is_over)
        count(len(data))
        os.pwrite(file.fileno(), data, begin)

    with threads(_PARTS, "feedbench-fetch") as (pool, is_over):
        for _ in pool.map(copy, range(0, version.size, _PART_BYTES)):
            pass


class _Ranges(io.RawIOBase):
    """An object's bytes, of which ranges are read."""

    def __init__(self, path: RemotePath) -> None:
        version = path.version
        if version is None:
            raise missing()
        self._place, self._version, self._at = path.place, version, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._version.size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, into: Any) -> int:
        length = min(len(into), self._version.size - self._at)
        if length <= 0:
            return 0
        store, bucket, key = self._place
        into[:length] = store.read(bucket, key, self._version, (self._at, length))
        count(length)
        self._at += length
        return length
