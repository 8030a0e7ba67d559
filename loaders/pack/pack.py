"""A pack: images prepared once, in a folder of shards with an index by row.

    pack.json         description; written last, so a folder without it is not a complete pack
    manifest.parquet  the rows, as listed by a scan
    index.npy         an ENTRY per row: shard, offset, length, CRC-32
    images-00000.npy        arrays: uint8 `[rows, side, side, 3]`
    images-00000.tfrecord   jpeg: a tf.train.Example per record

Rows are read by system calls into the batch's own memory. Mapping the files would save a fifth of
the time of a copy, but mapped memory counts as the process's own, and a truncated file would kill
the process.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError

from feedbench.loaders.contract import BatchSpec, Frozen
from feedbench.loaders.errors import SettingsError, SourceError, SpecError
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.validation import explain

ABOUT, MANIFEST, INDEX = "pack.json", "manifest.parquet", "index.npy"
PARTIAL = ".partial"  # ends the names of files until the pack is complete
SCHEMA_NUMBER = 1
ABSENT, THERE, FAILED = 0, 1, 2
ENTRY = np.dtype(
    [("shard", "<i4"), ("offset", "<i8"), ("length", "<i4"), ("crc32", "<u4"), ("state", "i1")]
)
Entry = tuple[int, int, int, int, int]  # the fields of ENTRY
Kind = Literal["arrays", "jpeg"]
Pixels = NDArray[np.uint8]
# What an image depends on before it is augmented and brought into range.
ARRAYS_FIELDS = ("image_size", "resize", "interpolation", "antialias", "orientation", "background")
JPEG_FIELDS = ("orientation", "background")


class About(Frozen):
    """The description of a pack.

    Attributes:
        kind: arrays of resized pixels, or JPEGs.
        fields: the batch spec's fields that the images depend on.
        decode: how the original files were decoded, full or scaled.
        side: largest side of a JPEG in pixels.
        quality: of the JPEGs, libjpeg's 1 to 100.
        rows: a hash of the manifest's rows.
        images: number of rows in the manifest.
        shards: names of the files with the images, in order.
    """

    schema_number: int = SCHEMA_NUMBER
    kind: Kind
    fields: dict[str, Any]
    decode: str = "full"
    side: int | None = None
    quality: int | None = None
    rows: str
    images: int
    shards: tuple[str, ...] = ()


def fields_of(spec: BatchSpec, kind: Kind) -> dict[str, Any]:
    """The fields of a spec that the images of a pack depend on, as plain values."""
    values = spec.model_dump(mode="json")
    return {name: values[name] for name in (ARRAYS_FIELDS if kind == "arrays" else JPEG_FIELDS)}


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a complete pack."""
    return (folder / ABOUT).exists()


def arrays_of(manifest: Manifest, spec: BatchSpec, decode: str = "full") -> About:
    """The description of a pack with the pixels of these rows."""
    return About(
        kind="arrays",
        fields=fields_of(spec, "arrays"),
        decode=decode,
        rows=row_hash(manifest),
        images=len(manifest),
    )


def row_hash(manifest: Manifest) -> str:
    """A hash of the rows and, after an audit, of their files' bytes."""
    digest = hashlib.sha256(manifest.fingerprint().encode())
    if manifest.audited:
        for batch in manifest.table.select(["digest"]).to_batches(max_chunksize=65_536):
            digest.update(b"".join(name or b"" for name in batch.column(0).to_pylist()))
    return digest.hexdigest()


def pack_folder(parent: Path, about: About) -> Path:
    """The folder of one pack among others, named after everything that its images depend on."""
    return parent / hashlib.sha256(about.model_dump_json().encode()).hexdigest()[:16]


class Pack:
    """A complete pack, open for reading by any number of threads."""

    def __init__(self, folder: Path) -> None:
        """Open its files.

        Raises:
            SettingsError: the folder does not hold a complete pack.
        """
        self.folder = folder
        self.about = read_about(folder)
        try:
            self.index: NDArray[Any] = np.load(folder / INDEX)
            self._files = [os.open(folder / name, os.O_RDONLY) for name in self.about.shards]
        except (OSError, ValueError) as error:
            raise SettingsError(f"pack {folder}: {error}; pack again into a new folder") from error

    def __len__(self) -> int:
        return len(self.index)

    def readable(self) -> Rows:
        """The positions of the rows that hold an image, int64."""
        return np.flatnonzero(self.index["state"] == THERE)

    def bytes_of(self, positions: Rows) -> int:
        """How many bytes some rows take together."""
        return int(self.index["length"][positions].sum())

    def row_bytes(self, position: int) -> bytes:
        """The bytes of the row at a position: pixels, or a JPEG."""
        entry: Entry = self.index[position].item()
        data = np.empty(entry[2], np.uint8)
        self.read(entry, data)
        return data.tobytes()

    def entries(self, positions: Rows) -> list[Entry]:
        """The index entries of some rows."""
        entries: list[Entry] = self.index[positions].tolist()
        return entries

    def read(self, entry: Entry, into: Pixels) -> bool:
        """Fill `into`, contiguous uint8 of the row's length; False if the file is truncated."""
        return read_into(self._files[entry[0]], into, entry[1])

    def is_intact(self, entry: Entry) -> bool:
        """Whether a row's bytes are the ones that were written."""
        _, _, length, crc32, state = entry
        data = np.empty(length, np.uint8)
        return state == FAILED or (self.read(entry, data) and zlib.crc32(data.data) == crc32)

    def positions(self, manifest: Manifest) -> Rows:
        """The position of each row of a manifest in the pack, int64 `[rows]`.

        Raises:
            SettingsError: a row is not in the pack, or its file has changed since.
        """
        packed = manifest_of(self.folder)
        indices = pc.index_in(manifest.table["path"], packed.table["path"])
        if indices.null_count:
            first = int(pc.index(pc.is_null(indices), True).as_py())
            raise SettingsError(
                f"pack {self.folder}: does not contain {os.fsdecode(manifest.name(first))} and "
                f"{indices.null_count - 1:,} other images; pack the data again into a new folder"
            )
        positions: Rows = np.asarray(indices.combine_chunks().to_numpy()).astype(np.int64)
        self._check_unchanged(manifest, packed, positions)
        return positions

    def close(self) -> None:
        """Close its files."""
        for file in self._files:
            os.close(file)
        self._files = []

    def _check_unchanged(self, manifest: Manifest, packed: Manifest, positions: Rows) -> None:
        if not (manifest.audited and packed.audited):
            return
        before = packed.table["digest"].take(positions)
        differs = pc.fill_null(pc.not_equal(manifest.table["digest"], before), False)
        if (first := int(pc.index(differs, True).as_py())) >= 0:
            raise SettingsError(
                f"pack {self.folder}: {os.fsdecode(manifest.name(first))} has changed since it was "
                "packed; pack the data again into a new folder"
            )


def read_about(folder: Path) -> About:
    """The description of a complete pack.

    Raises:
        SettingsError: there is none in the folder, or a newer version wrote it.
    """
    try:
        values = json.loads((folder / ABOUT).read_text())
    except FileNotFoundError:
        raise SettingsError(
            f"pack {folder}: not a complete pack, it has no {ABOUT}; create or resume it with "
            "feedbench pack"
        ) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"pack {folder}: {ABOUT}: {error}") from error
    if values.get("schema_number", 0) > SCHEMA_NUMBER:
        raise SettingsError(f"pack {folder}: written by a newer Feedbench; upgrade or pack again")
    try:
        return About.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"pack {folder}: {ABOUT}: {explain(error)}") from error


def check_about(pack: Pack, wanted: About) -> None:
    """Refuse a pack that differs from the wanted one.

    Raises:
        SettingsError: it differs; the message names the field.
    """
    existing = pack.about.model_dump(exclude={"shards"})
    for name, value in wanted.model_dump(exclude={"shards"}).items():
        if existing[name] != value:
            raise SettingsError(
                f"pack {pack.folder}: exists with {name} {existing[name]!r}, not {value!r}; name "
                "another folder"
            )


def check_spec(pack: Pack, spec: BatchSpec) -> None:
    """Refuse a spec for which a pack holds other images.

    Raises:
        SpecError: a field differs from that of the pack; the message names it.
    """
    for name, value in fields_of(spec, pack.about.kind).items():
        packed = pack.about.fields[name]
        if value != packed:
            raise SpecError(
                f"pack {pack.folder}: packed with {name} {packed!r}, the batch spec has {value!r}; "
                f"set {name} to {packed!r} or pack again"
            )


def read_into(file: int, into: Pixels, offset: int) -> bool:
    """Fill contiguous memory from an offset in a file; False if the file ends before."""
    view = into.reshape(-1).data
    while view and (count := os.preadv(file, [view], offset)):
        view, offset = view[count:], offset + count
    return not view


def manifest_of(folder: Path) -> Manifest:
    """The rows of a pack.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return Manifest.read(folder / MANIFEST)
    except SourceError as error:
        raise SettingsError(f"pack {folder}: {error}") from error
