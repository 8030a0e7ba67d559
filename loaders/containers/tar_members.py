"""The files of a tar and where their bytes are; only the headers are read."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from feedbench.loaders.containers.entries import damaged
from feedbench.loaders.errors import SourceError, printable
from feedbench.loaders.litter import is_in_litter

_IMAGES = {b"jpg", b"jpeg", b"jpe", b"jfif", b"png", b"webp", b"gif", b"bmp", b"dib", b"tif"}
_IMAGES |= {b"tiff", b"jxl", b"avif", b"ppm", b"pgm", b"pnm", b"img", b"image"}
_LONGEST_CHAIN = 40  # links that lead to links, as Linux follows


class Member(NamedTuple):
    """A file in a tar.

    Attributes:
        name: as in the tar, without `./`.
        offset: of its bytes.
        size: of its bytes.
        target: name of the member that a link leads to; empty for a file.
    """

    name: bytes
    offset: int = 0
    size: int = 0
    target: str = ""


def members(path: Path, file: Any) -> list[Member]:
    """The files in the order of the tar, each link as the file that it leads to.

    Raises:
        SourceError: the tar is damaged, or the link of an image leads out of it.
    """
    found: list[Member] = []
    named: dict[str, Member] = {}
    for header in _headers(path, file):
        member = _member(header, named)
        found.append(member)
        named[posixpath.normpath(header.name)] = member
    files = [(one, _followed(one, named)) for one in found if not is_in_litter(one.name)]
    for link, end in files:
        if end is None and is_image(link.name):
            raise SourceError(
                f"{path}:{printable(link.name)}: a link to {printable(link.target)}, which is "
                "not in the tar; write the tar with --dereference"
            )
    return [end._replace(name=link.name) for link, end in files if end is not None]


def extensions(name: bytes) -> tuple[bytes, bytes]:
    """Key and extensions in lower case, as WebDataset splits a name: at the base's first dot."""
    folder, slash, base = name.rpartition(b"/")
    stem, dot, rest = base.partition(b".")
    return (folder + slash + stem, rest.lower()) if stem and dot else (name, b"")


def is_image(name: bytes) -> bool:
    """Whether a name ends like that of an image."""
    return extensions(name)[1].rpartition(b".")[2] in _IMAGES


def _headers(path: Path, file: Any) -> Iterator[tarfile.TarInfo]:
    """The headers of files and links."""
    size, last = path.stat().st_size, None
    try:
        with tarfile.open(fileobj=file, mode="r:", errorlevel=2) as tar:
            for header in tar:
                last = header
                tar.members = []  # type: ignore[attr-defined]  # else it keeps all of them
                if header.size < 0:  # tarfile would find the same members again and again
                    raise damaged(path, header.name, "its size is negative")
                if header.issparse():  # its size is that of the file with its holes
                    raise _sparse(path, header.name)
                if header.isreg() and header.offset_data + header.size > size:
                    raise damaged(path, header.name, "the tar ends inside this member")
                if header.isreg() or header.islnk() or header.issym():
                    yield header
            if not _ends_at(tar.offset, file):
                raise tarfile.ReadError("neither a header nor an end follows")
            if _another_follows(file):
                raise tarfile.ReadError("another tar follows; join them by tar --concatenate")
    except (tarfile.TarError, OSError) as error:
        name = last.name if last else ""
        raise damaged(path, name, f"the tar is damaged behind this member ({error})") from error


def _sparse(path: Path, name: str) -> SourceError:
    return SourceError(
        f"{path}:{printable(name)}: stored as a sparse file, whose holes are not in the tar, so "
        "that it cannot be read from it; write the tar without --sparse"
    )


def _ends_at(offset: int, file: Any) -> bool:
    """Whether zeros follow the last member: tarfile itself takes anything for the end."""
    file.seek(offset)
    return bool(file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE))


def _another_follows(file: Any) -> bool:
    """Whether a header follows the zeros behind the end, as in tars that `cat` has joined."""
    while block := file.read(tarfile.BLOCKSIZE):
        if block.strip(b"\0"):
            with suppress(tarfile.HeaderError):
                tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
                return True
            return False
    return False


def _member(header: tarfile.TarInfo, named: dict[str, Member]) -> Member:
    name = os.fsencode(header.name).removeprefix(b"./")
    if header.issym():
        beside = posixpath.join(posixpath.dirname(header.name), header.linkname)
        return Member(name, target=posixpath.normpath(beside))
    if header.islnk():
        # What has this name so far: in joined tars, another file may get it later.
        target = posixpath.normpath(header.linkname)
        return named.get(target, Member(name, target=target))._replace(name=name)
    return Member(name, header.offset_data, header.size)


def _followed(member: Member | None, named: dict[str, Member]) -> Member | None:
    """The file that a member is or leads to; None if it leads nowhere."""
    for _ in range(_LONGEST_CHAIN):
        if member is None or not member.target:
            return member
        member = named.get(member.target)
    return None
