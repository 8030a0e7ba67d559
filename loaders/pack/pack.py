"""A pack: images prepared once, in a folder of shards with an index by row.

    pack.json         description; written last, so a folder without it is not a complete pack
    manifest.parquet  the rows, as listed by a scan
    files.npy         a STAMP per row: size and modification time of the original file
    index.npy         an ENTRY per row: shard, offset, length, CRC-32
    images-00000.npy        arrays: uint8 `[rows, side, side, 3]`
    images-00000.tfrecord   jpeg: a tf.train.Example per record

Rows are read by system calls into the batch's own memory. Mapping the files would save a fifth of
the time of a copy, but mapped memory counts as the process's own, and a truncated file would kill
the process.
"""

from __future__ import annotations

import os
import zlib
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.errors import SettingsError, printable
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.npy import open_npy
from feedbench.loaders.open_files import allow_open_files
from feedbench.loaders.order import Rows
from feedbench.loaders.originals import FILES, MANIFEST, Originals
from feedbench.loaders.pack.about import (
    ABOUT,
    AGAIN,
    INDEX,
    About,
    file_crc32,
    read_about,
    source_errors,
)

PARTIAL = ".partial"  # ends the names of files until the pack is complete
_LOOK_S = 0.1  # so that thousands of shards cost a hundredth of the time
ABSENT, THERE, FAILED = 0, 1, 2
ENTRY = np.dtype(
    [("shard", "<i4"), ("offset", "<i8"), ("length", "<i4"), ("crc32", "<u4"), ("state", "i1")]
)
Entry = tuple[int, int, int, int, int]  # the fields of ENTRY
Pixels = NDArray[np.uint8]


class Pack:
    """A complete pack, open for reading by any number of threads.

    Attributes:
        folder: its path.
        about: what `pack.json` says.
        index: an ENTRY per row.
        files: open, of each shard, int32.
    """

    def __init__(self, folder: Path) -> None:
        """Open its files.

        Raises:
            SettingsError: the folder does not hold a complete pack, or a file of it is damaged.
        """
        self.folder = folder
        self.about = read_about(folder)
        with ExitStack() as opened:
            try:
                self.index = _checked_index(folder, self.about)
                self._files = _open_shards(folder, self.about, opened)
                self.files = np.array(self._files, np.int32)
                self._stamps = [_stamp(file) for file in self._files]
            except (OSError, ValueError) as error:
                raise SettingsError(f"pack {folder}: {_reason(error)}; {AGAIN}") from error
            self._opened = opened.pop_all()
        self._looked = monotonic()

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

    def check_unchanged(self) -> None:
        """Check that no shard was written to since it was opened; every tenth of a second at most.

        A row is compared with its CRC-32 only when it is read first.

        Raises:
            SettingsError: one was; the message names it.
        """
        now = monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        for name, file, stamp in zip(self.about.shards, self._files, self._stamps, strict=True):
            if _stamp(file) != stamp:
                raise SettingsError(
                    f"pack {self.folder}: {name} was written to while it was read; {AGAIN}"
                )

    def is_intact(self, entry: Entry) -> bool:
        """Whether a row's bytes are the ones that were written."""
        data = np.empty(entry[2], np.uint8)
        return entry[4] == FAILED or (self.read(entry, data) and matches(entry, data))

    def positions(self, manifest: Manifest) -> Rows:
        """The position of each row of a manifest in the pack, int64 `[rows]`.

        Raises:
            SettingsError: a row is not in the pack, its file has changed since, or a scan has found
                since that it is to be decoded otherwise.
        """
        with source_errors(self.folder):
            originals = Originals.read(self.folder)
        indices = pc.index_in(manifest.table["path"], originals.manifest.table["path"])
        if indices.null_count:
            first = int(pc.index(pc.is_null(indices), True).as_py())
            raise SettingsError(
                f"pack {self.folder}: does not contain {printable(manifest.name(first))} and "
                f"{indices.null_count - 1:,} other images; {AGAIN}"
            )
        positions: Rows = np.asarray(indices.combine_chunks().to_numpy()).astype(np.int64)
        if change := originals.change(manifest, positions):
            raise SettingsError(
                f"pack {self.folder}, packed from {originals.manifest.root}: {change}; {AGAIN}"
            )
        if len(rows := originals.read_otherwise(manifest, positions)):
            others = f" and {len(rows) - 1:,} others" if len(rows) > 1 else ""
            raise SettingsError(
                f"pack {self.folder}: holds other pixels of {printable(manifest.name(rows[0]))}"
                f"{others} than loaders give since the last scan, which found that decoders guess "
                f"parts of them (a progressive JPEG without all scans, for example); {AGAIN}"
            )
        return positions

    def close(self) -> None:
        """Close its files."""
        self._opened.close()
        self._files = []


def _checked_index(folder: Path, about: About) -> NDArray[Any]:
    """The index, if it and the files beside it are those that `pack.json` was written for."""
    for name in (INDEX, FILES, MANIFEST):
        if about.checksums.get(name) != file_crc32(folder / name):
            raise ValueError(f"{name} is damaged")
    index = np.array(open_npy(folder / INDEX, ENTRY, about.images))
    there = index["state"] == THERE
    if index["shard"][there].max(initial=-1) >= len(about.shards):
        raise ValueError(f"{ABOUT} is damaged")
    is_negative = any(index[name].min(initial=0) < 0 for name in ("shard", "offset", "length"))
    if is_negative or index["shard"][~there].any():  # a row that failed is in no file
        raise ValueError(f"{INDEX} is damaged")
    return index


def _open_shards(folder: Path, about: About, opened: ExitStack) -> list[int]:
    allow_open_files(len(about.shards))
    files = []
    for name in about.shards:
        files.append(os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC))
        opened.callback(os.close, files[-1])
    return files


def _stamp(file: int) -> tuple[int, int]:
    status = os.fstat(file)
    return status.st_size, status.st_mtime_ns


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{Path(error.filename).name}: {error.strerror}"
    return str(error)


def matches(entry: Entry, data: Pixels) -> bool:
    """Whether these are the bytes that were written."""
    return zlib.crc32(data.reshape(-1).data) == entry[3]


def read_into(file: int, into: Pixels, offset: int) -> bool:
    """Fill contiguous memory from an offset in a file; False if the file ends before."""
    view = into.reshape(-1).data
    while view and (count := os.preadv(file, [view], offset)):
        view, offset = view[count:], offset + count
    return not view
