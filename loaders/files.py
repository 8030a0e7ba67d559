"""Reading image files, of which none may hang."""

from __future__ import annotations

import errno
import os
import stat
from io import BytesIO

from feedbench.loaders.address import (
    Extent,
    Version,
    extent_of,
    is_remote,
    name_of,
    shard_of,
    version_of,
)
from feedbench.loaders.containers.codecs import unpacked
from feedbench.loaders.errors import CLOSED, ImageError, LimitError, LoaderError, printable

_REMEDIES = {
    errno.EMFILE: "raise the limit, for example with ulimit -n 4096",
    errno.ENFILE: "close other programs, or raise the system's limit fs.file-max",
    errno.ENOMEM: "free some memory",
}


def read_file(path: str | bytes) -> bytes:
    """All bytes of an image by its address, in a third of the time of `Path.read_bytes`.

    Raises:
        OSError: it cannot be read, or is not regular: to open a FIFO could wait forever.
    """
    name = os.fsencode(path)
    extent = extent_of(name)
    if is_remote(name):
        return _read_object(name, extent)
    if extent is None:
        return _read_whole(name)
    return _read_extent(shard_of(name, extent), extent, version_of(name))


def read_row(row: int, path: bytes) -> bytes:
    """All bytes of the image of a row.

    Raises:
        ImageError: it cannot be read.
        LoaderError: reading it was stopped, as by closing the stream, or a limit is reached.
    """
    try:
        return read_file(path)
    except OSError as error:
        if error.errno == errno.ECANCELED:  # nothing is wrong with the image
            raise LoaderError(CLOSED) from None
        raise image_error(row, path, error) from error


def image_error(row: int, path: bytes, error: OSError) -> ImageError:
    """Return the error of an image that the system does not read.

    Raises:
        LimitError: a limit of the system is reached, and nothing is wrong with the image.
    """
    check_limits(path, error)
    return ImageError(os.fsdecode(path), row, "the system", error.strerror or str(error))


def check_limits(path: str | bytes, error: Exception) -> None:
    """Return if an error is one of the file that was read.

    Raises:
        LimitError: a limit of the system is reached.
    """
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        why = f"{error.strerror}; {_REMEDIES[error.errno]}"
        raise LimitError(f"{printable(name_of(os.fsencode(path)))}: {why}") from error


def _read_object(path: bytes, extent: Extent | None) -> bytes:
    from feedbench.loaders.remote.read import Fetching, read_object

    data = path.result() if isinstance(path, Fetching) else read_object(path, extent)
    return unpacked(data, extent) if extent is not None and extent.codec else data


def _read_whole(path: bytes) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        _check_regular(status)
        data = os.read(file, status.st_size)
        while len(data) < status.st_size and (more := os.read(file, status.st_size - len(data))):
            data += more
        return data
    finally:
        os.close(file)


def _read_extent(path: bytes, extent: Extent, version: Version | None) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if version is not None and not version.is_of(os.fstat(file)):
            # At the same place there may be another image, or a part of one.
            raise OSError(errno.ESTALE, "the shard has changed since it was listed")
        data = os.pread(file, extent.length, extent.offset)
        while len(data) < extent.length and (
            more := os.pread(file, extent.length - len(data), extent.offset + len(data))
        ):
            data += more
    finally:
        os.close(file)
    if len(data) < extent.length:
        raise OSError(errno.EIO, "the shard ends before the image does")
    return unpacked(data, extent) if extent.codec else data


def open_regular(path: bytes) -> int:
    """Open a regular file to read it, and return its descriptor.

    Raises:
        OSError: it cannot be opened, or is not regular: to open a FIFO could wait forever, and a
            device may never end.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check_regular(os.fstat(file))
    except OSError:
        os.close(file)
        raise
    return file


def openable(path: str | bytes) -> str | BytesIO:
    """What a library can open for an address: the path of a file, or the bytes of anything else.

    Raises:
        OSError: it does not exist, or is not regular: to open a FIFO could wait forever.
    """
    name = os.fsencode(path)
    if is_remote(name) or extent_of(name) is not None:
        return BytesIO(read_file(name))
    check_regular(name)
    return os.fsdecode(name)


def check_regular(path: str | bytes) -> None:
    """Check a file that a library will open itself.

    Raises:
        OSError: it does not exist, or is not regular: to open a FIFO could wait forever.
    """
    _check_regular(os.stat(path))


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
