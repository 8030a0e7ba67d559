"""Images prepared once, in a folder: shards, an index by row, and the manifest of what they are.

    pack.json         what it is; written last, so a folder without it is not a whole pack
    manifest.parquet  the rows, as a scan lists them
    index.npy         ENTRY a row: shard, place, CRC-32
    images-00000.npy        arrays: uint8 `[rows, side, side, 3]`
    images-00000.tfrecord   jpeg: a tf.train.Example a record

Rows are read by a call into the batch's own memory. Mapped memory would save a fifth of the time
of a copy, but it counts as the process's own, and a file cut short would end the process.
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
from feedbench.loaders.explain import explain
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows

ABOUT, MANIFEST, INDEX = "pack.json", "manifest.parquet", "index.npy"
SCHEMA_NUMBER = 1
ABSENT, THERE, FAILED = 0, 1, 2
ENTRY = np.dtype(
    [("shard", "<i4"), ("offset", "<i8"), ("length", "<i4"), ("crc32", "<u4"), ("state", "i1")]
)
Entry = tuple[int, int, int, int, int]  # the fields of ENTRY
Kind = Literal["arrays", "jpeg"]
Pixels = NDArray[np.uint8]
# What a picture depends on before it is augmented and brought into range.
ARRAYS_FIELDS = ("image_size", "resize", "interpolation", "antialias", "orientation", "background")
JPEG_FIELDS = ("orientation", "background")


class About(Frozen):
    """What a pack holds.

    Attributes:
        kind: arrays of resized pixels, or JPEGs.
        fields: those of the batch spec that the pictures depend on.
        decode: how the originals were decoded, full or scaled.
        side: of a JPEG, at most, in pixels.
        quality: of a JPEG, libjpeg's 1 to 100.
        rows: a hash of the manifest's rows.
        images: rows of the manifest.
        shards: files in their order.
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
    """What of a spec the pictures of a pack depend on."""
    values = spec.model_dump(mode="json")
    return {name: values[name] for name in (ARRAYS_FIELDS if kind == "arrays" else JPEG_FIELDS)}


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a whole pack."""
    return (folder / ABOUT).exists()


def arrays_of(manifest: Manifest, spec: BatchSpec, decode: str = "full") -> About:
    """What a pack of these rows' pixels holds."""
    return About(
        kind="arrays",
        fields=fields_of(spec, "arrays"),
        decode=decode,
        rows=row_hash(manifest),
        images=len(manifest),
    )


def row_hash(manifest: Manifest) -> str:
    """A hash of the rows and, where an audit knows them, of their files' bytes."""
    digest = hashlib.sha256(manifest.fingerprint().encode())
    if manifest.audited:
        for batch in manifest.table.select(["digest"]).to_batches(max_chunksize=65_536):
            digest.update(b"".join(name or b"" for name in batch.column(0).to_pylist()))
    return digest.hexdigest()


def pack_folder(parent: Path, about: About) -> Path:
    """The folder of one pack among others: named by all that its pixels depend on."""
    return parent / hashlib.sha256(about.model_dump_json().encode()).hexdigest()[:16]


class Pack:
    """A whole pack, open for reading by any number of threads."""

    def __init__(self, folder: Path) -> None:
        """Open its files.

        Raises:
            SettingsError: it is not a whole pack.
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
        """What the index says of some rows."""
        entries: list[Entry] = self.index[positions].tolist()
        return entries

    def read(self, entry: Entry, into: Pixels) -> bool:
        """Fill `into`, uint8 of the row's length, contiguous; whether the file held it all."""
        return read_into(self._files[entry[0]], into, entry[1])

    def sound(self, entry: Entry) -> bool:
        """Whether a row's bytes are those that were written."""
        _, _, length, crc32, state = entry
        data = np.empty(length, np.uint8)
        return state == FAILED or (self.read(entry, data) and zlib.crc32(data.data) == crc32)

    def positions(self, manifest: Manifest) -> Rows:
        """Where each row of a manifest is in the pack, int64.

        Raises:
            SettingsError: a row is not in it, or its file has changed since.
        """
        packed = manifest_of(self.folder)
        found = pc.index_in(manifest.table["path"], packed.table["path"])
        if found.null_count:
            first = int(pc.index(pc.is_null(found), True).as_py())
            raise SettingsError(
                f"pack {self.folder}: {os.fsdecode(manifest.name(first))} is not in it, nor are "
                f"{found.null_count - 1:,} others; pack the data again into a new folder"
            )
        positions: Rows = np.asarray(found.combine_chunks().to_numpy()).astype(np.int64)
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
        then = packed.table["digest"].take(positions)
        differs = pc.fill_null(pc.not_equal(manifest.table["digest"], then), False)
        if (first := int(pc.index(differs, True).as_py())) >= 0:
            raise SettingsError(
                f"pack {self.folder}: {os.fsdecode(manifest.name(first))} has changed since it was "
                "packed; pack the data again into a new folder"
            )


def read_about(folder: Path) -> About:
    """What a whole pack holds.

    Raises:
        SettingsError: there is none in the folder, or it is of a later version.
    """
    try:
        values = json.loads((folder / ABOUT).read_text())
    except FileNotFoundError:
        raise SettingsError(
            f"pack {folder}: no {ABOUT} in it, so it is no whole pack; make one, or go on with "
            "one, by feedbench pack"
        ) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"pack {folder}: {ABOUT}: {error}") from error
    if values.get("schema_number", 0) > SCHEMA_NUMBER:
        raise SettingsError(f"pack {folder}: made by a later feedbench; upgrade or pack again")
    try:
        return About.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"pack {folder}: {ABOUT}: {explain(error)}") from error


def check_about(pack: Pack, wanted: About) -> None:
    """Refuse a pack that is another one than was asked for.

    Raises:
        SettingsError: it is; the text names the field.
    """
    there = pack.about.model_dump(exclude={"shards"})
    for name, value in wanted.model_dump(exclude={"shards"}).items():
        if there[name] != value:
            raise SettingsError(
                f"pack {pack.folder}: {name} was {there[name]!r} when it was made, and is "
                f"{value!r}; name another folder"
            )


def check_spec(pack: Pack, spec: BatchSpec) -> None:
    """Refuse batches that a pack's pictures cannot become.

    Raises:
        SpecError: a field differs from that of the packing; the text names it.
    """
    for name, value in fields_of(spec, pack.about.kind).items():
        packed = pack.about.fields[name]
        if value != packed:
            raise SpecError(
                f"pack {pack.folder}: {name} was {packed!r} when it was packed, the batch spec has "
                f"{value!r}; ask for {packed!r} or pack again"
            )


def read_into(file: int, into: Pixels, offset: int) -> bool:
    """Fill contiguous memory from a place of a file; whether it had so many bytes."""
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
