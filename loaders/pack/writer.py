"""Writes a pack row by row, in any order and on many threads; goes on where a killed one stopped.

Until all rows are there its files are called `.partial`. Each row is entered in the index after
its bytes are written, with their CRC-32; what does not agree with it when a pack is opened again
is written again.
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
    THERE,
    About,
    read_into,
)

PARTIAL = ".partial"
LOCK = "lock"
_SHARD_BYTES = 2**30
_RECORD_SHARD_BYTES = 2**28
Pixels = NDArray[np.uint8]


class PackWriter:
    """A pack in the making; one process at a time holds it."""

    def __init__(self, folder: Path, about: About, manifest: Manifest) -> None:
        """Begin, or go on.

        Raises:
            SettingsError: the folder holds something else, is held by another process, or the
                disk has too little room.
        """
        self.folder = folder
        self.about = about
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = _locked(folder)
            self._check_same()
            _begin_again(folder)
            self._index = self._open_index(manifest)
            self._shards: _Arrays | _Records = (
                _Arrays(folder, about) if about.kind == "arrays" else _Records(folder)
            )
        except OSError as error:
            raise SettingsError(f"pack {folder}: {error.strerror}; name another") from error
        self._change = threading.Lock()
        self._drop_unsound()
        self._left = int((self._index["state"] == ABSENT).sum())

    @property
    def left(self) -> int:
        """Rows that are still to come."""
        return self._left

    def missing(self) -> NDArray[np.int64]:
        """Rows that are still to come, int64."""
        return np.flatnonzero(self._index["state"] == ABSENT)

    def holds(self, rows: NDArray[np.int64]) -> bool:
        """Whether all of these rows are there."""
        return bool((self._index["state"][rows] == THERE).all())

    def read(self, row: int, into: Pixels) -> bool:
        """Fill `into` with a row's bytes; False where it is not there yet."""
        shard, offset, _, _, state = self._index[row].item()
        return state == THERE and self._shards.read(shard, offset, into)

    def put(self, row: int, data: Pixels, label: int = 0) -> None:
        """Write a row: its pixels, contiguous, or the bytes of its JPEG.

        Raises:
            SettingsError: the disk is full, or another trouble of the system.
        """
        try:
            shard, offset = self._shards.write(row, data, label)
        except OSError as error:
            raise SettingsError(f"pack {self.folder}: {error.strerror}") from error
        self._enter(row, (shard, offset, data.nbytes, zlib.crc32(data.reshape(-1).data)), THERE)

    def fail(self, row: int) -> None:
        """Enter a row that cannot be read."""
        self._enter(row, (0, 0, 0, 0), FAILED)

    def finish(self) -> None:
        """Make the pack whole: every name without its `.partial`, `pack.json` last.

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
        """Let go of the folder; what is written stays, whole or to be gone on with."""
        self._shards.close()
        os.close(self._lock_file)

    def _enter(self, row: int, place: tuple[int, int, int, int], state: int) -> None:
        entry = self._index[row]
        entry["shard"], entry["offset"], entry["length"], entry["crc32"] = place
        with self._change:
            if entry["state"] == ABSENT:
                self._left -= 1
            entry["state"] = state  # last: an entry that is cut short says nothing

    def _check_same(self) -> None:
        path = self.folder / (ABOUT + PARTIAL)
        here = self.about.model_dump(mode="json")
        if not path.exists():
            names = {child.name for child in self.folder.iterdir()} - {LOCK}
            if not all(name.startswith(PART) for name in names):
                raise SettingsError(f"pack {self.folder}: not empty; name a new or empty folder")
            _write(path, self.about)
            return
        there = json.loads(path.read_text())
        for name, value in here.items():
            if there.get(name) != value:
                raise SettingsError(
                    f"pack {self.folder}: {name} was {there.get(name)!r} when it was begun, and is "
                    f"{value!r}; remove the folder or name another"
                )

    def _open_index(self, manifest: Manifest) -> NDArray[Any]:
        path = self.folder / (INDEX + PARTIAL)
        if path.exists():
            return np.lib.format.open_memmap(path, "r+")
        manifest.write(self.folder / MANIFEST)
        return np.lib.format.open_memmap(path, "w+", ENTRY, (len(manifest),))

    def _drop_unsound(self) -> None:
        for row in np.flatnonzero(self._index["state"] == THERE).tolist():
            data = np.empty(int(self._index[row]["length"]), np.uint8)
            if not self.read(row, data) or zlib.crc32(data.data) != self._index[row]["crc32"]:
                self._index[row] = np.zeros((), ENTRY)
        self._shards.cut(self._index[self._index["state"] == THERE])


class _Arrays:
    """Shards of rows that have their places from the start."""

    def __init__(self, folder: Path, about: About) -> None:
        side = int(about.fields["image_size"])
        self._folder = folder
        self._row_bytes = side * side * 3
        self._rows = max(1, _SHARD_BYTES // self._row_bytes)
        counts = [
            min(self._rows, about.images - begin) for begin in range(0, about.images, self._rows)
        ]
        self._names = tuple(f"images-{number:05}.npy" for number in range(len(counts)))
        check_room(folder, self._missing(counts))
        self._begins, self._files = [], []
        for name, count in zip(self._names, counts, strict=True):
            path = folder / (name + PARTIAL)
            if not path.exists():
                _reserve(path, (count, side, side, 3))
            self._begins.append(_data_begins(path))
            self._files.append(os.open(path, os.O_RDWR))

    def _missing(self, counts: list[int]) -> int:
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
        view, at = data.reshape(-1).data, offset
        while view:
            count = os.pwritev(self._files[shard], [view], at)
            view, at = view[count:], at + count
        return shard, offset

    def cut(self, kept: NDArray[Any]) -> None:
        """Nothing: every row has its own place."""

    def finish(self) -> tuple[str, ...]:
        for name, file in zip(self._names, self._files, strict=True):
            os.fsync(file)
            (self._folder / (name + PARTIAL)).replace(self._folder / name)
        return self._names

    def close(self) -> None:
        for file in self._files:
            os.close(file)


class _Records:
    """TFRecord files, each record a tf.train.Example with the JPEG, its label and its row."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths = sorted(folder.glob("images-*.tfrecord" + PARTIAL))
        self._change = threading.Lock()
        self._writer: Any = None
        self._end = 0

    def read(self, shard: int, offset: int, into: Pixels) -> bool:
        try:
            file = os.open(self._paths[shard], os.O_RDONLY)
        except (IndexError, OSError):
            return False
        try:
            return read_into(file, into, offset)
        finally:
            os.close(file)

    def write(self, row: int, data: Pixels, label: int) -> tuple[int, int]:
        jpeg = data.tobytes()
        record = _example(jpeg, label, row)
        with self._change:
            if self._writer is None or self._end > _RECORD_SHARD_BYTES:
                self._begin_shard()
            self._writer.write(record)
            # A record is its length in 8 bytes, the length's checksum in 4, itself, and its
            # checksum in 4.
            offset = self._end + 12 + record.index(jpeg)
            self._end += 16 + len(record)
            return len(self._paths) - 1, offset

    def cut(self, kept: NDArray[Any]) -> None:
        """End each file after the last record that is whole."""
        for number, path in enumerate(self._paths):
            own = kept[kept["shard"] == number]
            path.write_bytes(b"") if not len(own) else _cut_record(path, own)

    def finish(self) -> tuple[str, ...]:
        self.close()
        final = [path.with_name(path.name.removesuffix(PARTIAL)) for path in self._paths]
        for path, name in zip(self._paths, final, strict=True):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.replace(name)
        return tuple(path.name for path in final)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _begin_shard(self) -> None:
        import tensorflow as tf

        self.close()
        path = self._folder / f"images-{len(self._paths):05}.tfrecord{PARTIAL}"
        self._writer = tf.io.TFRecordWriter(str(path))
        self._paths.append(path)
        self._end = 0


def check_room(folder: Path, need: int) -> None:
    """Refuse what the disk has no room for.

    Raises:
        SettingsError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SettingsError(
            f"pack {folder}: needs {need / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; make room or "
            "name a folder on another disk"
        )


def _locked(folder: Path) -> int:
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise SettingsError(
            f"pack {folder}: another process is writing it; wait for its end or name another folder"
        ) from None
    return file


def _begin_again(folder: Path) -> None:
    """Undo a finish that was killed: no file may look whole before all are."""
    for path in folder.glob(f"{PART}*"):
        path.unlink()
    for path in folder.glob("images-*"):
        if path.suffix in (".npy", ".tfrecord"):
            path.replace(path.with_name(path.name + PARTIAL))


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """An .npy file with all its blocks: a disk that fills up is known now, not in mid-epoch."""
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


def _example(jpeg: bytes, label: int, row: int) -> bytes:
    import tensorflow as tf

    def numbers(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg])),
        "image/class/label": numbers(label),
        "image/row": numbers(row),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString())


def _cut_record(path: Path, kept: NDArray[Any]) -> None:
    """Cut a TFRecord file after the record that holds the last of some entries."""
    last = int((kept["offset"] + kept["length"]).max())
    with path.open("r+b") as file:
        end = 0
        while end < last:
            file.seek(end)
            end += 16 + int.from_bytes(file.read(8), "little")
        file.truncate(end)


def _write(path: Path, about: About) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(about.model_dump(mode="json"), indent=1))
