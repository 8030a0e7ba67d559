"""Write a pack row by row, in any order and on many threads; a partial pack can be resumed.

Until all rows are written, its files are called `.partial`. Each row is entered in the index after
its bytes are written, with their CRC-32, which is compared before a later process uses them.
"""

from __future__ import annotations

import os
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.closing import closed_on_error
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import SettingsError
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.npy import write_npy
from feedbench.loaders.order import Rows
from feedbench.loaders.originals import FILES, MANIFEST, Originals
from feedbench.loaders.pack.about import (
    ABOUT,
    AGAIN,
    INDEX,
    About,
    file_crc32,
    source_errors,
    text_of,
)
from feedbench.loaders.pack.array_shards import ArrayShards
from feedbench.loaders.pack.folder import (
    check_resumable,
    check_space,
    lock,
    nothing_left_on_error,
    system_errors,
    undo_finish,
)
from feedbench.loaders.pack.index_file import IndexFile
from feedbench.loaders.pack.pack import ABSENT, ENTRY, FAILED, PARTIAL, THERE, Entry, matches
from feedbench.loaders.pack.records import Records
from feedbench.replacing import replacing

Pixels = NDArray[np.uint8]
_CHUNK = 4096  # rows that are checked at a time: a pool keeps 1 kB for each that it is given


class PackWriter:
    """Write a pack; one process at a time may."""

    def __init__(
        self, folder: Path, about: About, manifest: Manifest, estimate: int | None = None
    ) -> None:
        """Start a pack, or resume a partial one.

        Args:
            estimate: the size of a pack of JPEGs in bytes; that of arrays is known.

        Raises:
            SettingsError: the folder holds something else, another process is writing to it, or
                the disk has too little space.
        """
        self.folder = folder
        self.about = about
        self._lock = threading.Lock()
        self._checked = np.zeros(len(manifest), np.bool_)
        self._shards: ArrayShards | Records = (
            ArrayShards(folder, about) if about.kind == "arrays" else Records(folder)
        )
        existed = folder.exists()
        with system_errors(folder), ExitStack() as opened:
            opened.callback(os.close, lock(folder))
            with nothing_left_on_error(folder, existed=existed):
                check_resumable(folder, about, manifest)
                undo_finish(folder)
                check_space(folder, self._shards.missing_bytes(estimate))
                opened.callback(self._shards.close)
                self._file = self._open(manifest)
                opened.callback(self._file.close)
            self._opened = opened.pop_all()
        self._index = self._file.entries
        self._left = int((self._index["state"] == ABSENT).sum())

    @property
    def left(self) -> int:
        """Number of rows that are still missing."""
        return self._left

    def missing(self) -> Rows:
        """The rows that are still missing, int64."""
        return np.flatnonzero(self._index["state"] == ABSENT)

    def holds(self, rows: Rows) -> bool:
        """Whether all of these rows are written."""
        return bool((self._index["state"][rows] == THERE).all())

    def read(self, row: int, into: Pixels) -> bool:
        """Fill `into` with a row's bytes; False if they are not written yet, or damaged."""
        entry: Entry = self._index[row].item()
        if entry[4] != THERE or not self._shards.read(entry[0], entry[1], into):
            return False
        if self._checked[row]:
            return True
        if is_known := matches(entry, into):  # another thread may have read it, and intact
            self._checked[row] = True
        return is_known

    def put(self, row: int, data: Pixels, label: int = 0) -> None:
        """Write a row: its contiguous pixels, or the bytes of its JPEG.

        Raises:
            SettingsError: the disk is full, or another error of the system.
        """
        with system_errors(self.folder):
            shard, offset = self._shards.write(row, data, label)
            self._checked[row] = True
            crc32 = zlib.crc32(data.reshape(-1).data)
            self._enter(row, (shard, offset, data.nbytes, crc32), THERE)

    def fail(self, row: int) -> None:
        """Mark a row whose image cannot be read; it is tried again when the pack is resumed.

        Raises:
            SettingsError: an error of the system.
        """
        with system_errors(self.folder):
            self._enter(row, (0, 0, 0, 0), FAILED)

    def drop_corrupt(self) -> None:
        """Forget all rows that do not match their CRC-32: their bytes were lost in a crash.

        Raises:
            SettingsError: an error of the system.
        """

        def is_corrupt(row: int) -> bool:
            return not self.read(row, np.empty(int(self._index[row]["length"]), np.uint8))

        bad = np.zeros(len(self._index), np.bool_)
        rows = np.flatnonzero(self._index["state"] == THERE)
        with ThreadPoolExecutor(usable_cores()) as pool:
            for begin in range(0, len(rows), _CHUNK):
                chunk = rows[begin : begin + _CHUNK]
                bad[chunk] = list(pool.map(is_corrupt, chunk.tolist()))
        with system_errors(self.folder):
            self._drop(self._index, bad)
            if bad.any():
                self._file.write_all()
        self._left = int((self._index["state"] == ABSENT).sum())

    def finish(self) -> None:
        """Complete the pack: rename every file without `.partial`, write `pack.json` last.

        Raises:
            SettingsError: a file cannot be written.
        """
        with system_errors(self.folder):
            names = self._shards.finish()
            write_npy(self.folder / INDEX, self._index)
            checksums = {name: file_crc32(self.folder / name) for name in (INDEX, FILES, MANIFEST)}
            complete = {"shards": names, "checksums": checksums}
            _write_about(self.folder / ABOUT, self.about.model_copy(update=complete))
            for name in (INDEX, ABOUT):
                (self.folder / (name + PARTIAL)).unlink()

    def close(self) -> None:
        """Release the folder; a partial pack stays and can be resumed.

        Raises:
            SettingsError: the disk is full, or another error of the system.
        """
        with system_errors(self.folder):
            self._opened.close()

    def _enter(self, row: int, place: tuple[int, int, int, int], state: int) -> None:
        entry = self._index[row]
        entry["shard"], entry["offset"], entry["length"], entry["crc32"] = place
        with self._lock:
            if entry["state"] == ABSENT:
                self._left -= 1
            entry["state"] = state  # last: an entry without it does not count
        self._file.write(row)

    def _open(self, manifest: Manifest) -> IndexFile:
        """Open the shards and the index, whose entries are those that can be used."""
        path = self.folder / (INDEX + PARTIAL)
        if path.exists():
            return self._resume(path, manifest)
        _write_about(self.folder / (ABOUT + PARTIAL), self.about)
        Originals.of(manifest).write(self.folder)  # before any file is read
        self._shards.open()
        return IndexFile.new(path, len(manifest))

    def _resume(self, path: Path, manifest: Manifest) -> IndexFile:
        try:
            file = IndexFile(path, len(manifest))
        except ValueError as error:
            raise SettingsError(f"pack {self.folder}: {error}; {AGAIN}") from error
        with closed_on_error(file):
            self._drop_unusable(file, manifest)
        return file

    def _drop_unusable(self, file: IndexFile, manifest: Manifest) -> None:
        """Forget the rows whose bytes are not there, or whose images have changed."""
        index = file.entries
        self._shards.open()
        with source_errors(self.folder):
            originals = Originals.read(self.folder)
        index[index["state"] != THERE] = np.zeros((), ENTRY)  # failed rows are tried again
        bad = (index["state"] == THERE) & ~self._shards.holds(index)
        changed = originals.refresh(manifest)
        bad[changed] = index["state"][changed] == THERE
        self._drop(index, bad)
        # First: the old pixels must not be taken for those of the new files.
        file.write_all()
        originals.write(self.folder)

    def _drop(self, index: NDArray[Any], bad: NDArray[np.bool_]) -> None:
        index[self._shards.drop(index, bad)] = np.zeros((), ENTRY)


def _write_about(path: Path, about: About) -> None:
    with replacing(path) as beside:
        beside.write_text(text_of(about))
