"""Addresses of images: the path of a file or an object, or a range of bytes inside a shard.

An address in a shard begins with what people read, `shard.tar:0001.jpg`. Behind a zero byte, which
no path holds, follows where the bytes are. Of an object or a shard, behind another one, follows
which version of it was listed. Addresses pass through everything that takes a path.
"""

from __future__ import annotations

import os
import stat
from typing import AnyStr, NamedTuple

_MARK = b"\0"
SCHEMES = ("s3", "gs")  # of object storage
_REMOTE = tuple(f"{scheme}://".encode() for scheme in SCHEMES)


class Extent(NamedTuple):
    """Where the bytes of an image are in a shard.

    Attributes:
        member: length in bytes of the member's name and the colon before it.
        offset: first byte in the shard.
        length: number of bytes there.
        codec: how they are compressed; empty if they are not.
        unpacked: their number after decompression.
        begin: first byte of the image among these.
        end: behind its last byte.
        check: the checksum that the shard stores; empty if it has none.
    """

    member: int
    offset: int
    length: int
    codec: str = ""
    unpacked: int = 0
    begin: int = 0
    end: int = 0
    check: str = ""

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self.end - self.begin if self.codec else self.length

    def encoded(self) -> bytes:
        """The extent as it stands in a manifest."""
        fields = self[:3] if self[3:] == _PLAIN else self
        return ",".join(map(str, fields)).encode()


_PLAIN = ("", 0, 0, 0, "")


class Version(NamedTuple):
    """Which version of an object or a shard was listed.

    Attributes:
        size: in bytes.
        modified_ns: when it was written, as its storage says.
        tag: what its storage gives to each version: an ETag or a generation; empty for a file.
    """

    size: int
    modified_ns: int
    tag: str

    def encoded(self) -> bytes:
        """The version as it stands in a manifest."""
        return f"{self.size},{self.modified_ns},{self.tag}".encode()

    def is_of(self, status: os.stat_result) -> bool:
        """Whether a file of this status has the size and time of this version."""
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified_ns)

    @property
    def status(self) -> os.stat_result:
        """The status of a file of this size and time."""
        seconds = self.modified_ns // 10**9
        numbers = (stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, self.size, seconds, seconds, seconds)
        return os.stat_result(numbers, {"st_mtime_ns": self.modified_ns})


def address(path: bytes, extent: bytes | None, version: bytes | None = None) -> bytes:
    """The address of an image by its path, and its encoded extent and version, if it has them."""
    if version:
        return path + _MARK + (extent or b"") + _MARK + version
    return path + _MARK + extent if extent else path


def is_remote(path: bytes) -> bool:
    """Whether an address is that of an object, or lies in one."""
    return path.startswith(_REMOTE)


def extent_of(path: bytes) -> Extent | None:
    """The extent in an address; None if it is the path of a file or an object."""
    _, mark, rest = path.partition(_MARK)
    text = rest.partition(_MARK)[0]
    if not mark or not text:
        return None
    fields = text.decode().split(",")
    member, offset, length = map(int, fields[:3])
    if len(fields) == 3:
        return Extent(member, offset, length)
    codec, unpacked, begin, end, check = fields[3:]
    return Extent(member, offset, length, codec, int(unpacked), int(begin), int(end), check)


def version_of(path: bytes) -> Version | None:
    """The version in an address of an object or a shard; None if it is a file, or unknown."""
    if path.count(_MARK) < 2:
        return None
    size, modified_ns, tag = path.split(_MARK, 2)[2].decode().split(",", 2)
    return Version(int(size), int(modified_ns), tag)


def name_of(path: AnyStr) -> AnyStr:
    """What people read of an address."""
    if isinstance(path, str):
        return path.partition("\0")[0]
    return path.partition(_MARK)[0]


def file_of(path: bytes) -> bytes:
    """The file or object that holds the bytes of an address: itself or a shard."""
    extent = extent_of(path)
    return name_of(path) if extent is None else shard_of(path, extent)


def shard_of(path: bytes, extent: Extent) -> bytes:
    """The shard in an address whose extent is known."""
    return name_of(path)[: -extent.member]


def status_of(path: bytes) -> os.stat_result:
    """The status of the file that holds the bytes of an address; of an object, when it was listed.

    Raises:
        OSError: there is no such file.
    """
    version = version_of(path) if is_remote(path) else None
    return os.stat(file_of(path)) if version is None else version.status


def stamp_of(path: bytes) -> tuple[int, int]:
    """Bytes of an image, and when the file that holds it was modified, in ns.

    Raises:
        OSError: there is no such file.
    """
    status = status_of(path)
    return size_in(path, status), status.st_mtime_ns


def size_in(path: bytes, status: os.stat_result) -> int:
    """Bytes of an image in a file of this status; fewer than stated if the file ends before."""
    extent = extent_of(path)
    if extent is None:
        return status.st_size
    missing = max(0, extent.offset + extent.length - status.st_size)
    return max(0, extent.size - missing)
