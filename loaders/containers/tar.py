"""Tar shards: as WebDataset writes them, or of class folders."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feedbench.loaders.containers.entries import Entry, Hints, Listing, damaged, listing
from feedbench.loaders.errors import SourceError

_IMAGES = {b"jpg", b"jpeg", b"png", b"webp", b"gif", b"bmp", b"tif", b"tiff", b"jxl", b"avif"}
_IMAGES |= {b"ppm", b"pgm", b"img", b"image"}
_LABELS = (b"cls", b"cls.txt", b"label", b"json")  # extensions, the first that is there
_JSON_FIELDS = ("label", "cls", "class", "class_name", "category")
_LARGEST_LABEL = 1 << 20  # bytes


@dataclass
class _Sample:
    """The members with one key, as WebDataset groups them: `KEY.jpg`, `KEY.cls`."""

    images: list[tuple[bytes, tarfile.TarInfo]] = field(default_factory=list)
    labels: dict[bytes, tarfile.TarInfo] = field(default_factory=dict)


def list_tar(path: Path, hints: Hints) -> Listing:
    """The images of a tar.

    Raises:
        SourceError: it is damaged, or a label cannot be read.
    """
    samples: dict[bytes, _Sample] = {}
    with path.open("rb") as file:
        for member in _members(path, file):
            name = os.fsencode(member.name).removeprefix(b"./")
            key, extension = _split(name)
            sample = samples.setdefault(key, _Sample())
            if extension.rpartition(b".")[2] in _IMAGES:
                sample.images.append((name, member))
            elif extension in _LABELS:
                sample.labels[extension] = member
        return listing(_entries(path, file, samples, hints))


def _members(path: Path, file: Any) -> Iterator[tarfile.TarInfo]:
    """The regular members; their headers alone are read."""
    size, last = path.stat().st_size, None
    try:
        with tarfile.open(fileobj=file, mode="r:", errorlevel=2) as tar:
            for member in tar:
                last = member
                tar.members = []  # type: ignore[attr-defined]  # else it keeps all of them
                if member.offset_data + member.size > size:
                    raise damaged(path, member.name, "the tar ends inside this member")
                if member.issparse():
                    raise damaged(path, member.name, "a sparse member cannot be read")
                if member.isfile() and not _is_litter(member.name):
                    yield member
            if not _ends_at(tar.offset, file):
                raise tarfile.ReadError("neither a header nor an end follows")
    except (tarfile.TarError, OSError) as error:
        name = last.name if last else ""
        raise damaged(path, name, f"the tar is damaged behind this member ({error})") from error


def _ends_at(offset: int, file: Any) -> bool:
    """Whether zeros follow the last member: tarfile itself takes anything for the end."""
    file.seek(offset)
    return bool(file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE))


def _is_litter(name: str) -> bool:
    return any(part.startswith(".") and part != "." for part in name.split("/"))


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Key and extensions in lower case, as WebDataset splits a name: at the base's first dot."""
    match = re.fullmatch(rb"((?:.*/|)[^.]+)[.]([^/]*)", name, re.DOTALL)
    return (match[1], match[2].lower()) if match else (name, b"")


def _entries(path: Path, file: Any, samples: dict[bytes, _Sample], hints: Hints) -> Iterator[Entry]:
    for sample in samples.values():
        if not sample.images:
            continue
        label = _label(path, file, sample.labels, hints)
        for name, member in sample.images if label is None else _pictures(sample.images):
            yield Entry(name, member.offset_data, member.size, label)


def _pictures(images: list[tuple[bytes, tarfile.TarInfo]]) -> list[tuple[bytes, tarfile.TarInfo]]:
    """Without masks and the like, `KEY.seg.png`, where the sample has a `KEY.jpg`."""
    return [one for one in images if b"." not in _split(one[0])[1]] or images


def _label(path: Path, file: Any, labels: dict[bytes, tarfile.TarInfo], hints: Hints) -> str | None:
    extension = next((one for one in _LABELS if one in labels), None)
    if extension is None:
        return None
    member = labels[extension]
    file.seek(member.offset_data)
    data = file.read(min(member.size, _LARGEST_LABEL))
    try:
        text = data.decode().strip()
        return _of_json(json.loads(text), hints) if extension == b"json" else text
    except (ValueError, KeyError) as error:
        raise SourceError(f"{path}:{member.name}: no label in it: {error}") from error


def _of_json(values: Any, hints: Hints) -> str:
    if not isinstance(values, dict):
        raise ValueError("not an object")
    names = (hints.label,) if hints.label else _JSON_FIELDS
    found = next((name for name in names if name in values), None)
    if found is None:
        raise ValueError(f"none of the fields {', '.join(names)}; state one in source.toml")
    return str(values[found])
