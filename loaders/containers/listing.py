"""From the shards of a source to a manifest."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.containers.arrow import list_arrow
from feedbench.loaders.containers.cached import cached
from feedbench.loaders.containers.entries import Hints, Listing
from feedbench.loaders.containers.folders import Place, places_of
from feedbench.loaders.containers.hints import read_hints, words
from feedbench.loaders.containers.parquet import list_parquet
from feedbench.loaders.containers.shards import Kind, kind_of, root_of, shards_of, split_part
from feedbench.loaders.containers.tar import list_tar
from feedbench.loaders.containers.tfrecord import list_tfrecord
from feedbench.loaders.containers.zip import list_zip
from feedbench.loaders.errors import SourceError, SourceWarning, printable
from feedbench.loaders.manifest import EXTENT, PATH, SCHEMA, SHARD_VERSION, Manifest
from feedbench.loaders.splits import SPLIT_NAMES, UNKNOWN_SPLIT

_LISTERS: dict[Kind, Callable[[Path, Hints], Listing]] = {
    "zip": list_zip,
    "tar": list_tar,
    "tfrecord": list_tfrecord,
    "arrow": list_arrow,
    "parquet": list_parquet,
}
_NOTHING = pa.scalar(b"", PATH)
_THREADS = 8  # shards that are listed at a time: a network answers late


def scan_shards(source: Path) -> Manifest | None:
    """The images in the shards of a source; None if it has none.

    Rows are sorted by split, class and the name that the shard gives an image, as those of folders
    are; where shards give no names, by shard and number.

    Raises:
        SourceError: a shard is damaged, or does not say what the classes are.
    """
    shards = shards_of(source)
    if not shards:
        return None
    root, kind = root_of(source, shards), kind_of(shards[0])
    assert kind is not None
    hints = read_hints(root, shards[0].parent)
    with ThreadPoolExecutor(_THREADS, "feedbench-list") as threads:
        listings = list(threads.map(partial(_listed, hints=hints, kind=kind), shards))
    _warn_of_replaced(shards, listings)
    table = _joined(root, shards, listings)
    table = table.filter(pc.is_valid(table["label"])).combine_chunks()
    if not len(table):
        raise SourceError(
            f"{source}: no images with a class in {printable(shards[0].name)}"
            + (f" and {len(shards) - 1} others" if len(shards) > 1 else "")
        )
    named = _stated_classes(source, hints, listings)
    of_folders = any(one.table["label"].null_count for one in listings)
    labels, classes = _numbered(source, table, named, of_folders)
    table = table.set_column(table.column_names.index("label"), "label", pa.array(labels))
    if of_folders:
        names = [in_folders(name) for name in table["name"].to_pylist()]
        table = table.set_column(table.column_names.index("name"), "name", pa.array(names, PATH))
    table = table.append_column("number", pa.array(np.arange(len(table))))
    keys = [(name, "ascending") for name in ("split", "label", "name", "number")]
    columns = pa.schema([*SCHEMA, EXTENT, pa.field("shard", pa.int32())])
    rows = table.sort_by(keys).select(columns.names).cast(columns).combine_chunks()
    return Manifest(_with_versions(rows, listings), classes, root, kind)


def _listed(path: Path, *, hints: Hints, kind: Kind) -> Listing:
    try:
        return cached(path, hints, _LISTERS[kind])
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error


def _warn_of_replaced(shards: list[Path], listings: list[Listing]) -> None:
    counts = {shard: one.replaced for shard, one in zip(shards, listings, strict=True)}
    total = sum(counts.values())
    if total:
        shard = next(shard for shard, count in counts.items() if count)
        warnings.warn(
            f"{printable(str(shard))}: {total:,} {'file has' if total == 1 else 'files have'} the "
            "name of a later one, which is read instead, as when the archive is unpacked",
            SourceWarning,
            stacklevel=2,
        )


def _joined(root: Path, shards: list[Path], listings: list[Listing]) -> pa.Table:
    """The rows of all shards, with path, split and, where only folders tell it, the class."""
    splits = _splits(shards, root)
    places = _places(listings)
    tables = []
    for number, (shard, listing, split) in enumerate(zip(shards, listings, splits, strict=True)):
        table = listing.table
        prefix = os.path.relpath(os.fsencode(shard), os.fsencode(root)) + b":"
        paths = pc.binary_join_element_wise(pa.scalar(prefix, PATH), table["member"], _NOTHING)
        table = table.append_column("path", paths)
        table = table.append_column("shard", pa.array(np.full(len(table), number, np.int32)))
        tables.append(_placed(table, split, places))
    return pa.concat_tables(tables)


def _with_versions(rows: pa.Table, listings: list[Listing]) -> pa.Table:
    """The rows with the version of the shard of each, in place of its number."""
    versions = [one.version and one.version.encoded() for one in listings]
    numbers = rows["shard"].combine_chunks()
    column = pa.DictionaryArray.from_arrays(numbers, pa.array(versions, pa.binary()))
    return rows.drop_columns("shard").append_column(SHARD_VERSION, column)


def _placed(table: pa.Table, split: int, places: dict[str, Place]) -> pa.Table:
    """With a split, and the class of the folder where the shard states none."""
    splits = np.full(len(table), split, np.int8)
    labels = table["label"].cast(PATH)  # the names of folders need not be UTF-8
    if labels.null_count:
        found = [places.get(folder) for folder in _folders(table)]
        of_folders = pa.array([place and os.fsencode(place.label) for place in found], PATH)
        labels = pc.coalesce(labels, of_folders)
        for row, place in enumerate(found):
            if place is not None and place.split is not None:
                splits[row] = place.split
    table = table.set_column(table.column_names.index("label"), "label", labels)
    return table.append_column("split", pa.array(splits))


def _places(listings: Iterable[Listing]) -> dict[str, Place]:
    tables = [one.table.filter(pc.is_null(one.table["label"])) for one in listings]
    return places_of(sorted({folder for table in tables for folder in _folders(table)}))


def _folders(table: pa.Table) -> list[str]:
    return [os.fsdecode(member).rpartition("/")[0] for member in table["member"].to_pylist()]


def in_folders(name: bytes) -> bytes:
    """A key that sorts as folders are listed: the files in one come before its folders."""
    folder, slash, base = name.rpartition(b"/")
    outer = b"".join(b"\1" + part + b"\0" for part in folder.split(b"/")) if slash else b""
    return outer + b"\0" + base


def _splits(shards: list[Path], root: Path) -> list[int]:
    """The split of each shard, by a word in its name or else in its folders'."""
    splits = [_split(shard.relative_to(root)) for shard in shards]
    if UNKNOWN_SPLIT in splits and len(set(splits)) > 1:
        shard = shards[splits.index(UNKNOWN_SPLIT)]
        raise SourceError(
            f"{shard}: no split in its name, as in those of other shards; name it like "
            f"train-{shard.name}"
        )
    return splits


def _split(path: Path) -> int:
    for name in (split_part(path.name), path.name, *reversed(path.parts[:-1])):
        found = {SPLIT_NAMES[word] for word in words(name) if word in SPLIT_NAMES}
        if len(found) == 1:
            return found.pop()
    return UNKNOWN_SPLIT


def _stated_classes(source: Path, hints: Hints, listings: list[Listing]) -> tuple[str, ...]:
    """The names of the classes by number; empty if nothing states them."""
    if hints.classes:
        return hints.classes
    stated = sorted({listing.classes for listing in listings})
    if len(stated) > 1:
        raise SourceError(
            f"{source}: its shards name other classes: {stated[0]!r} and {stated[1]!r}; state "
            "them in source.toml"
        )
    return stated[0]


def _numbered(
    source: Path, table: pa.Table, named: tuple[str, ...], of_folders: bool
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The number of each row's class, and the classes: those that are stated, or those found.

    The names of folders are names, even if all are numbers; labels of digits are numbers.
    """
    found = table["label"].combine_chunks().dictionary_encode()
    values = [os.fsdecode(value) for value in found.dictionary.to_pylist()]
    are_numbers = all(value.removeprefix("-").isdecimal() for value in values)
    is_named = not named or (of_folders and set(values) <= set(named)) or not are_numbers
    named = named or tuple(sorted(values, key=int if are_numbers and not of_folders else str))
    numbers = {name: number for number, name in enumerate(named)}
    ranks = []
    for value in values:
        number = numbers.get(value) if is_named else int(value)
        if number is None or not 0 <= number < len(named):
            row = pc.index(table["label"], os.fsencode(value)).as_py()
            name = printable(table["path"][row].as_py())
            raise SourceError(
                f"{source}: {name}: label {printable(value)} is none of the {len(named)} classes "
                f"({named[0]!r} …); state them in source.toml"
            )
        ranks.append(number)
    return np.array(ranks, np.int32)[found.indices.to_numpy()], named
