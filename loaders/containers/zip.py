"""Zip files of class folders."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from feedbench.loaders.containers.checksum import CRC32
from feedbench.loaders.containers.codecs import DEFLATE
from feedbench.loaders.containers.entries import Entry, Hints, Listing, damaged, files_listing
from feedbench.loaders.errors import SourceError, printable
from feedbench.loaders.litter import is_in_litter

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of the name and the extra field
_ENCRYPTED = 1  # bit of the flags
_METHODS = {zipfile.ZIP_STORED: "", zipfile.ZIP_DEFLATED: DEFLATE}


def list_zip(path: Path, _: Hints) -> Listing:
    """The members of a zip, of any extension, in folders.

    Raises:
        SourceError: it is damaged, encrypted, or compressed in a rare way.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return files_listing(_entries(path, archive.infolist(), file))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise SourceError(
            f"{path}: cannot be listed: {error}; copy the zip again or remove it"
        ) from error


def _entries(path: Path, members: list[zipfile.ZipInfo], file: IO[bytes]) -> Iterator[Entry]:
    for member in members:
        name = os.fsencode(member.filename)
        if member.is_dir() or is_in_litter(name):
            continue
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
            raise SourceError(
                f"{path}:{printable(name)}: encrypted, or neither stored nor deflated; zip the "
                "files again, without a password and without another compression"
            )
        offset = _data_offset(path, member, file)
        place = (name, offset, member.compress_size, None)
        check = f"{CRC32}{member.CRC:08x}"
        if codec := _METHODS[member.compress_type]:
            yield Entry(*place, codec, member.file_size, 0, member.file_size, check)
        else:
            yield Entry(*place, check=check)


def _data_offset(path: Path, member: zipfile.ZipInfo, file: IO[bytes]) -> int:
    """Where a member's bytes begin: behind its own header, whose length the directory omits."""
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise damaged(path, member.filename, "the header of this member is damaged")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    return member.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)
