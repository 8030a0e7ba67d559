"""Write a pack row by row, in any order and on many threads; a partial pack can be resumed.

Until all rows are written, its files are called `.partial`. Each row is entered in the index after
its bytes are written, with their CRC-32; rows that do not match it when the pack is resumed are
written again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.errors import SettingsError
from feedbench.loaders.files import PART, replacing
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.pack.pack import (
    ABOUT,
    ABSENT,
    ENTRY,
    FAILED,
    INDEX,
    MANIFEST,
    PARTIAL,
    THERE,
    About,
    read_into,
)
from feedbench.loaders.pack.records import Records

LOCK = "lock"
_SHARD_BYTES = 2**30
Pixels = NDArray[np.uint8]


class PackWriter:
    """Write a pack; one process at a time may."""

    def __init__(self, folder: Path, about: About, manifest: Manifest) -> None:
        """Start a pack, or resume a partial one.

        Raises:
            SettingsError: the folder holds something else, another process is writing to it, or
                the disk has too little space.
        """
        self.folder = folder
        self.about = about
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = _locked(folder)
            self._check_same()
            _undo_finish(folder)
            self._index = self._open_index(manifest)
            self._shards: _Arrays | Records = (
                _Arrays(folder, about) if about.kind == "arrays" else Records(folder)
            )
        except OSError as error:
            raise SettingsError(f"pack {folder}: {error.strerror}; name another folder") from error
        self._lock = threading.Lock()
        self._drop_corrupt()
        self._left = int((self._index["state"] == ABSENT).sum())

    @property
    def left(self) -> int:
        """Number of rows that are still missing."""
        return self._left

    def missing(self) -> NDArray[np.int64]:
        """The rows that are still missing, int64."""
        return np.flatnonzero(self._index["state"] == ABSENT)

    def holds(self, rows: NDArray[np.int64]) -> bool:
        """Whether all of these rows are written."""
        return bool((self._index["state"][rows] == THERE).all())

    def read(self, row: int, into: Pixels) -> bool:
        """Fill `into` with a row's bytes; False if it is not written yet."""
        shard, offset, _, _, state = self._index[row].item()
        return state == THERE and self._shards.read(shard, offset, into)

    def put(self, row: int, data: Pixels, label: int = 0) -> None:
        """Write a row: its contiguous pixels, or the bytes of its JPEG.

        Raises:
            SettingsError: the disk is full, or another error of the system.
        """
        try:
            shard, offset = self._shards.write(row, data, label)
        except OSError as error:
            raise SettingsError(f"pack {self.folder}: {error.strerror}") from error
        self._enter(row, (shard, offset, data.nbytes, zlib.crc32(data.reshape(-1).data)), THERE)

    def fail(self, row: int) -> None:
        """Mark a row whose image cannot be read."""
        self._enter(row, (0, 0, 0, 0), FAILED)

    def finish(self) -> None:
        """Complete the pack: rename every file without `.partial`, write `pack.json` last.

        Raises:
            SettingsError: a file cannot be written.
        """
        try:
            names = self._shards.finish()
            with replacing(self.folder / INDEX) as beside:
                np.save(beside, np.asarray(self._index))
            _write(self.folder / ABOUT, self.about.model_copy(update={"shards": names}))
            for name in (INDEX, ABOUT):
                (self.folder / (name + PARTIAL)).unlink()
        except OSError as error:
            raise SettingsError(f"pack {self.folder}: {error.strerror}") from error

    def close(self) -> None:
        """Release the folder; a partial pack stays and can be resumed."""
        self._shards.close()
        os.close(self._lock_file)

    def _enter(self, row: int, place: tuple[int, int, int, int], state: int) -> None:
        entry = self._index[row]
        entry["shard"], entry["offset"], entry["length"], entry["crc32"] = place
        with self._lock:
            if entry["state"] == ABSENT:
                self._left -= 1
            entry["state"] = state  # last: an entry without it does not count

    def _check_same(self) -> None:
        path = self.folder / (ABOUT + PARTIAL)
        wanted = self.about.model_dump(mode="json")
        if not path.exists():
            names = {child.name for child in self.folder.iterdir()} - {LOCK}
            if not all(name.startswith(PART) for name in names):
                raise SettingsError(f"pack {self.folder}: not empty; name a new or empty folder")
            _write(path, self.about)
            return
        started = json.loads(path.read_text())
        for name, value in wanted.items():
            if started.get(name) != value:
                raise SettingsError(
                    f"pack {self.folder}: was started with {name} {started.get(name)!r}, not "
                    f"{value!r}; remove the folder or name another"
                )

    def _open_index(self, manifest: Manifest) -> NDArray[Any]:
        path = self.folder / (INDEX + PARTIAL)
        if path.exists():
            return np.lib.format.open_memmap(path, "r+")
        manifest.write(self.folder / MANIFEST)
        return np.lib.format.open_memmap(path, "w+", ENTRY, (len(manifest),))

    def _drop_corrupt(self) -> None:
        """Forget rows whose bytes do not match their CRC-32: they were written only in part."""
        for row in np.flatnonzero(self._index["state"] == THERE).tolist():
            data = np.empty(int(self._index[row]["length"]), np.uint8)
            if not self.read(row, data) or zlib.crc32(data.data) != self._index[row]["crc32"]:
                self._index[row] = np.zeros((), ENTRY)
        self._shards.truncate(self._index[self._index["state"] == THERE])


class _Arrays:
    """Shards in which each row has its own place."""

    def __init__(self, folder: Path, about: About) -> None:
        side = int(about.fields["image_size"])
        self._folder = folder
        self._row_bytes = side * side * 3
        self._rows = max(1, _SHARD_BYTES // self._row_bytes)
        begins = range(0, about.images, self._rows)
        counts = [min(self._rows, about.images - begin) for begin in begins]
        self._names = tuple(f"images-{number:05}.npy" for number in range(len(counts)))
        check_space(folder, self._missing_bytes(counts))
        self._begins, self._files = [], []
        for name, count in zip(self._names, counts, strict=True):
            path = folder / (name + PARTIAL)
            if not path.exists():
                _reserve(path, (count, side, side, 3))
            self._begins.append(_data_begins(path))
            self._files.append(os.open(path, os.O_RDWR))

    def _missing_bytes(self, counts: list[int]) -> int:
        return sum(
            count * self._row_bytes
            for name, count in zip(self._names, counts, strict=True)
            if not (self._folder / (name + PARTIAL)).exists()
        )

    def read(self, shard: int, offset: int, into: Pixels) -> bool:
        return read_into(self._files[shard], into, offset)

    def write(self, row: int, data: Pixels, label: int) -> tuple[int, int]:
        shard, place = divmod(row, self._rows)
        offset = self._begins[shard] + place * self._row_bytes
        view, position = data.reshape(-1).data, offset
        while view:
            count = os.pwritev(self._files[shard], [view], position)
            view, position = view[count:], position + count
        return shard, offset

    def truncate(self, entries: NDArray[Any]) -> None:
        """Do nothing: every row has its own place."""

    def finish(self) -> tuple[str, ...]:
        for name, file in zip(self._names, self._files, strict=True):
            os.fsync(file)
            (self._folder / (name + PARTIAL)).replace(self._folder / name)
        return self._names

    def close(self) -> None:
        for file in self._files:
            os.close(file)


def check_space(folder: Path, need: int) -> None:
    """Refuse a pack that does not fit on the disk.

    Raises:
        SettingsError: the disk has too little space.
    """
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SettingsError(
            f"pack {folder}: needs {need / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; free some "
            "space or name a folder on another disk"
        )


def _locked(folder: Path) -> int:
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise SettingsError(
            f"pack {folder}: another process is writing it; wait for it or name another folder"
        ) from None
    return file


def _undo_finish(folder: Path) -> None:
    """Undo a finish that was killed: no file may look complete before all are."""
    for path in folder.glob(f"{PART}*"):
        path.unlink()
    for path in folder.glob("images-*"):
        if path.suffix in (".npy", ".tfrecord"):
            path.replace(path.with_name(path.name + PARTIAL))


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """An .npy file with all its blocks: a full disk shows now, not in the middle of an epoch."""
    with replacing(path) as beside, beside.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        os.posix_fallocate(file.fileno(), file.tell(), int(np.prod(shape)))


def _data_begins(path: Path) -> int:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()


def _write(path: Path, about: About) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(about.model_dump(mode="json"), indent=1))
