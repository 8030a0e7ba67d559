"""Which shards a source consists of, and of what kind they are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from feedbench.loaders.errors import SourceError
from feedbench.loaders.remote.path import RemotePath, source_path

Kind = Literal["zip", "tar", "tfrecord", "arrow", "parquet"]
_KINDS: dict[str, Kind] = {
    ".zip": "zip",
    ".tar": "tar",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
    ".tfrec": "tfrecord",
    ".arrow": "arrow",
    ".parquet": "parquet",
}
# NAME-train.tfrecord-00000-of-00002
_OF_TFDS = re.compile(r"([^-]*)\.tfrecords?-\d+-of-\d+$")
_PACKED = (".gz", ".tgz", ".bz2", ".xz", ".zst")
# `cache-…` are what the `datasets` library leaves beside the files of a saved data set.
_LITTER = (".", "__MACOSX", "cache-")
_DEPTH = 2  # folders within folders: DATA/train/data-00000.arrow, NAME/1.0.0/NAME-train.tfrecord-…
_FIRST = 1000  # entries of a prefix, by which it is seen to hold no shards


def kind_of(path: Path) -> Kind | None:
    """The kind of a shard by its name; None if it is none."""
    return "tfrecord" if _OF_TFDS.search(path.name) else _KINDS.get(path.suffix.lower())


def split_part(name: str) -> str:
    """The part of a shard's name that may hold its split: TFDS puts the data set's before it."""
    found = _OF_TFDS.search(name)
    return found[1] if found else name


def shards_of(source: Path) -> list[Path]:
    """The shards of a file, a folder or a pattern, sorted; none if the source is something else.

    Raises:
        SourceError: they are of several kinds, or compressed as a whole.
    """
    if source.is_dir():
        shards = _in_folder(source, _DEPTH)
    elif source.exists():
        shards = [source] if kind_of(source) or _is_packed(source) else []
    else:
        shards = [path for path in _matches(source) if kind_of(path) or _is_packed(path)]
    _check(source, shards)
    return shards


def root_of(source: Path, shards: list[Path]) -> Path:
    """The folder that the paths of the shards are relative to."""
    if source.is_dir():
        return source
    return source_path(os.path.commonpath([shard.parent for shard in shards]))


def is_pattern(path: Path) -> bool:
    """Whether a path has a sign that stands for others in file names."""
    return any(sign in str(path) for sign in "*?[")


def _matches(pattern: Path) -> Iterator[Path]:
    """Files whose paths match a pattern such as `shards/train-*.tar`."""
    if is_pattern(pattern) and isinstance(pattern, RemotePath):
        yield from sorted(pattern.matches())
    elif is_pattern(pattern):
        yield from sorted(Path("/").glob(str(pattern.relative_to("/"))))


def _in_folder(folder: Path, depth: int) -> list[Path]:
    """Shards in a folder without folders, or in folders that all hold shards.

    An archive beside the class folders that were unpacked from it is no shard.
    """
    try:
        entries = _entries(folder)
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed: {error.strerror}") from error
    entries = [path for path in entries if not path.name.startswith(_LITTER)]
    for path in entries:
        if ".array_record" in path.name:
            raise SourceError(
                f"{path}: ArrayRecord files are not read; prepare the data set with "
                "file_format='tfrecord'"
            )
    shards = [path for path in entries if kind_of(path) or _is_packed(path)]
    if shards:
        return [] if any(path.is_dir() for path in entries) else shards
    if not depth or not entries:
        return []
    found = []
    for inner in (path for path in entries if path.is_dir()):
        below = _in_folder(inner, depth - 1)
        if not below:
            return []
        found += below
    return found


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted; of a prefix with objects that are no shards, the first only."""
    entries: Iterator[Path] = folder.iterdir()
    if isinstance(folder, RemotePath):  # which may hold a million images
        first = list(islice(entries, _FIRST))
        if any(path.is_file() for path in first) and not any(map(kind_of, first)):
            return sorted(first)
        entries = chain(first, entries)
    return sorted(entries)


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(_PACKED) and bool(re.search(r"\.t(ar|gz|frec)", path.name))


def _check(source: Path, shards: list[Path]) -> None:
    for shard in shards:
        if _is_packed(shard) or _is_gzip(shard):
            raise SourceError(
                f"{shard}: compressed as a whole, so that no image in it can be read alone; "
                "decompress it, with gunzip for .gz"
            )
    kinds = sorted({str(kind_of(shard)) for shard in shards})
    if len(kinds) > 1:
        raise SourceError(
            f"{source}: shards of several kinds ({', '.join(kinds)}); name one kind by a pattern "
            "such as 'DATA/*.tar'"
        )


def _is_gzip(path: Path) -> bool:
    if isinstance(path, RemotePath):  # a request each: that it cannot be listed is found later
        return False
    try:
        with path.open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
