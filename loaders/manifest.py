"""The list of images as an Arrow table, and its Parquet file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feedbench.loaders.address import address, is_remote, name_of, stamp_of
from feedbench.loaders.errors import SourceError
from feedbench.loaders.remote.path import source_path
from feedbench.replacing import replacing

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Layout = Literal["folder", "splits", "csv", "zip", "tar", "tfrecord", "arrow", "parquet"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

# Paths are bytes, as in the file system: a file name need not be valid UTF-8.
# Large: the offsets of the other binary type end at 2 GiB, or some 35 million paths.
PATH = pa.large_binary()
SCHEMA = pa.schema([("path", PATH), ("label", pa.int32()), ("split", pa.int8())])
# Column of images in shards: the encoded `Extent` of each.
EXTENT = pa.field("extent", PATH)
# Column of images in object storage: the encoded `Version` of each object.
VERSION = pa.field("version", PATH)
# The same of images in shards, of which many have one version.
SHARD_VERSION = pa.field(VERSION.name, pa.dictionary(pa.int32(), pa.binary()))
# Columns that an audit adds; null in rows whose files it has not read.
AUDIT = pa.schema(
    [
        ("bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("digest", pa.binary(16)),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mode", pa.string()),
        ("bits", pa.int8()),
        ("alpha", pa.bool_()),
        ("orientation", pa.int8()),
        ("frames", pa.int32()),
        ("pillow", pa.string()),
        ("tensorflow", pa.string()),
        ("same_pixels", pa.bool_()),
    ]
)
BLACKLIST = "blacklist"  # column of a user's rules: empty to use a row, else why not
_SCHEMA_NUMBER = 2
_SIZED = 1_000_000  # files whose sizes enter a fingerprint: a network answers late


@dataclass(frozen=True, eq=False)
class Manifest:
    """The images, one row each; rows are not Python objects, so ten million fit into memory.

    Attributes:
        table: columns `path` (binary, relative to `root`), `label` (int32, index into `classes`),
            `split` (int8, index into `SPLITS`), `extent` (binary) if images lie in shards,
            `version` (binary) if they lie in shards or object storage, and after an audit those of
            `AUDIT`: `bytes` and `modified_ns` of the file, `digest`
            (BLAKE2b of its bytes), `format` (Pillow's name of what it is, empty if unknown),
            `width`, `height` and `mode` as stored, `bits` of a channel, `alpha` (any
            transparency), `orientation` (EXIF, 1 is upright), `frames`, and for each decoder its
            error, null if it can read the file; and `same_pixels`, whether both decoders see the
            same image, null if not both can be asked.
        classes: class names, sorted.
        root: absolute path of the folder that paths are relative to.
        layout: the kind of source.
        left: number of the source's rows that were filtered out.
        source: the source as the user named it; None if it is unknown.
    """

    table: pa.Table
    classes: tuple[str, ...]
    root: Path
    layout: Layout
    left: int = 0
    source: Path | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """Class of each row, int32 `[rows]`."""
        return self._column("label")

    @cached_property
    def splits(self) -> NDArray[np.int8]:
        """Index into `SPLITS` of each row, int8 `[rows]`."""
        return self._column("split")

    @property
    def audited(self) -> bool:
        """Whether an audit has read the files; rows that are newer than it hold nulls."""
        return AUDIT.names[0] in self.table.column_names

    def name(self, row: int) -> bytes:
        """Path of the image in a row, relative to `root`."""
        return bytes(self.table["path"][row].as_py())

    def path(self, row: int) -> str:
        """Absolute path of the image in a row; in a shard, that of the shard and the member."""
        return name_of(self.address(row))

    def address(self, row: int) -> str:
        """Absolute address of the image in a row, as `paths` gives it."""
        return os.fsdecode(self.paths(np.array([row], np.int64))[0])

    def paths(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Absolute addresses of some rows, as bytes: paths of files, or extents in shards."""
        begin, taken = os.path.join(os.fsencode(self.root), b""), pa.array(rows)
        names = self.table["path"].take(taken).to_pylist()
        # As os.path.join, which takes most of the time of a look-up.
        paths = [name if name.startswith(b"/") else begin + name for name in names]
        columns = [name for name in (EXTENT.name, VERSION.name) if name in self.table.column_names]
        if not columns:
            return paths
        found = [self.table[name].take(taken).to_pylist() for name in columns]
        if not self.in_shards:
            found.insert(0, [None] * len(paths))
        return list(map(address, paths, *found))

    @property
    def in_shards(self) -> bool:
        """Whether images are ranges of bytes in shards."""
        return EXTENT.name in self.table.column_names

    @property
    def is_remote(self) -> bool:
        """Whether images lie in object storage."""
        return is_remote(os.fsencode(self.root))

    @property
    def are_files(self) -> bool:
        """Whether each image is a separate file, which any library can open."""
        return not (self.in_shards or self.is_remote)

    def only(self, split: Split) -> Manifest:
        """The rows of one split, renumbered.

        Raises:
            SourceError: the split has no images.
        """
        rows = self.where(pc.equal(self.table["split"], SPLITS.index(split)))
        if not len(rows):
            raise SourceError(
                f"{self.root}: no images in the {split} split; add some or name another split"
            )
        return rows

    def where(self, mask: Any) -> Manifest:
        """The rows for which a boolean column is true, renumbered."""
        rows = self.table.filter(mask).combine_chunks()
        left = self.left + len(self) - rows.num_rows
        return replace(self, table=rows, left=left)

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images of each class in each split."""
        size = len(self.classes)
        return {
            split: dict(
                zip(
                    self.classes,
                    np.bincount(self.labels[self.splits == number], minlength=size).tolist(),
                    strict=True,
                )
            )
            for number, split in enumerate(SPLITS)
        }

    def write(self, path: Path) -> None:
        """Write as Parquet, atomically."""
        about = {
            "schema": _SCHEMA_NUMBER,
            "classes": self.classes,
            "root": str(self.root),
            "layout": self.layout,
            "left": self.left,
            "source": None if self.source is None else str(self.source),
        }
        table = self.table.replace_schema_metadata({"feedbench": json.dumps(about)})
        try:
            # Through a file of Python's: Arrow itself takes no name that is not UTF-8.
            with replacing(path) as beside, beside.open("wb") as file:
                pq.write_table(table, file)
        except OSError as error:
            raise SourceError(
                f"{path}: cannot be written: {error.strerror or error}; name another file or folder"
            ) from error

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest written by `write`.

        Raises:
            SourceError: no such file, or not a manifest.
        """
        try:
            with path.open("rb") as file:
                table = one_chunk_each(file)
            about: dict[str, Any] = json.loads((table.schema.metadata or {})[b"feedbench"])
            newer = about["schema"] > _SCHEMA_NUMBER
            if not newer:
                return cls._of(table, about)
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise SourceError(f"{path}: not a Feedbench manifest: {_reason(error)}") from error
        raise SourceError(
            f"{path}: manifest schema {about['schema']} is newer than "
            f"{_SCHEMA_NUMBER}; upgrade feedbench or scan again"
        )

    @classmethod
    def _of(cls, table: pa.Table, about: dict[str, Any]) -> Manifest:
        table = _with_schema(table)
        classes, root = tuple(about["classes"]), source_path(about["root"])
        source = about.get("source")
        return cls(
            table,
            classes,
            root,
            about["layout"],
            about["left"],
            source_path(source) if source else None,
        )

    def fingerprint(self, *, sizes: bool = False) -> str:
        """A hash of the rows' paths and labels and the classes' names.

        Args:
            sizes: also of the files' sizes as they are now, at a system call per file; of more than
                a million, of every second, third and so on.
        """
        digest = hashlib.sha256("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        begin, step = 0, -(-len(self) // _SIZED)
        for batch in self.table.select(["path", "label"]).to_batches(max_chunksize=65_536):
            names, labels = batch.columns
            digest.update(b"\0".join(names.to_pylist()))
            digest.update(labels.to_numpy().tobytes())
            rows = np.arange(begin, begin + len(names))
            begin += len(names)
            if sizes:
                file_sizes = [_size(path) for path in self.paths(rows[rows % step == 0])]
                digest.update(np.array(file_sizes, np.int64).tobytes())
        return digest.hexdigest()

    def _column(self, name: str) -> NDArray[Any]:
        return np.asarray(self.table[name].combine_chunks().to_numpy(zero_copy_only=False))


def one_chunk_each(file: Any) -> pa.Table:
    """The table in a Parquet file, each column in one chunk.

    Taking rows from several chunks would join them again for each batch. One column after the
    other is joined, since it takes twice its memory meanwhile.
    """
    with pq.ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
        columns = [parquet.read(columns=[one]).column(0).combine_chunks() for one in schema.names]
        return pa.table(columns, schema=schema)


def first_of_each(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Where each of a column's values comes for the first time."""
    encoded = column.combine_chunks().dictionary_encode()
    first = np.zeros(len(column), np.bool_)
    first[np.unique(encoded.indices.to_numpy(), return_index=True)[1]] = True
    return first


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


def _size(path: bytes) -> int:
    try:
        return stamp_of(path)[0]
    except OSError:
        return -1


def _with_schema(table: pa.Table) -> pa.Table:
    if AUDIT.names[0] in table.column_names:
        for field in AUDIT:  # an earlier version had fewer
            if field.name not in table.column_names:
                table = table.append_column(field, pa.nulls(len(table), field.type))
    version = SHARD_VERSION if EXTENT.name in table.column_names else VERSION
    optional = [EXTENT, version, *AUDIT, pa.field(BLACKLIST, pa.string())]
    fields = [*SCHEMA, *(field for field in optional if field.name in table.column_names)]
    table = table.select([field.name for field in fields])
    if table.schema.equals(pa.schema(fields)):
        return table.replace_schema_metadata()  # a cast copies all rows, even to the same types
    return table.cast(pa.schema(fields)).combine_chunks()


def chunk(paths: Iterable[bytes], label: int, split: int) -> pa.RecordBatch:
    """The rows of one class in one split."""
    names = pa.array(paths, PATH)
    return pa.record_batch(
        [
            names,
            pa.array(np.full(len(names), label, np.int32)),
            pa.array(np.full(len(names), split, np.int8)),
        ],
        schema=SCHEMA,
    )
