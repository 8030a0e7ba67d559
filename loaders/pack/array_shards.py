"""The shards of a pack of arrays: .npy files in which each row has its own place."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.npy import npy_header
from feedbench.loaders.open_files import allow_open_files
from feedbench.loaders.pack.about import About
from feedbench.loaders.pack.pack import PARTIAL, read_into

SHARD_BYTES = 2**30
_PIECE = 2**20  # bytes of a new file
Pixels = NDArray[np.uint8]


class ArrayShards:
    """Files of uint8 `[rows, side, side, 3]`; nothing is created before `open`."""

    def __init__(self, folder: Path, about: About) -> None:
        self._folder = folder
        self._side = int(about.fields["image_size"])
        self._row_bytes = self._side * self._side * 3
        self._rows = max(1, SHARD_BYTES // self._row_bytes)
        begins = range(0, about.images, self._rows)
        counts = [min(self._rows, about.images - begin) for begin in begins]
        self._counts = {f"images-{number:05}.npy": count for number, count in enumerate(counts)}
        self._opened = ExitStack()
        self._begins: list[int] = []
        self._files: list[int] = []
        self._pieces: list[_Pieces] = []

    def missing_bytes(self, estimate: int | None) -> int:
        """The bytes that the files still take from the disk; they need no estimate."""
        return sum(
            max(0, count * self._row_bytes - _allocated(self._folder / (name + PARTIAL)))
            for name, count in self._counts.items()
        )

    def open(self) -> None:
        """Open the files at their full size, so that a full disk is an error now, not in an epoch.

        Raises:
            OSError: the disk is full, or another error of the system.
        """
        allow_open_files(len(self._counts))
        zeros = bytes(_PIECE)
        for name, count in self._counts.items():
            file = os.open(self._folder / (name + PARTIAL), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            self._opened.callback(os.close, file)
            header = npy_header(np.uint8, (count, self._side, self._side, 3))
            size = len(header) + count * self._row_bytes
            pieces = _Pieces(file, size, zeros)
            os.posix_fallocate(file, 0, size)
            pieces.touch(0, len(header))
            os.pwrite(file, header, 0)
            self._files.append(file)
            self._pieces.append(pieces)
            self._begins.append(len(header))

    def read(self, shard: int, offset: int, into: Pixels) -> bool:
        """Fill `into` from an offset in a shard; False if the shard ends before."""
        return read_into(self._files[shard], into, offset)

    def write(self, row: int, data: Pixels, label: int) -> tuple[int, int]:
        """Write a row's pixels; returns its shard and the offset of its bytes."""
        shard, place = divmod(row, self._rows)
        offset = self._begins[shard] + place * self._row_bytes
        view, position = data.reshape(-1).data, offset
        self._pieces[shard].touch(offset, len(view))
        while view:
            count = os.pwritev(self._files[shard], [view], position)
            view, position = view[count:], position + count
        return shard, offset

    def holds(self, entries: NDArray[Any]) -> NDArray[np.bool_]:
        """Which entries lie inside the files and have a row's length."""
        sizes = np.array([os.fstat(file).st_size for file in self._files], np.int64)
        known = (entries["shard"] >= 0) & (entries["shard"] < len(sizes))
        ends = entries["offset"] + entries["length"]
        inside = ends <= np.append(sizes, 0)[np.where(known, entries["shard"], -1)]
        of_a_row = entries["length"] == self._row_bytes
        held: NDArray[np.bool_] = known & inside & (entries["offset"] >= 0) & of_a_row
        return held

    def drop(self, entries: NDArray[Any], bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which entries are lost with the bad ones: only these, every row has its own place."""
        return bad

    def finish(self) -> tuple[str, ...]:
        """Give all shards their final names and return these."""
        for name, file in zip(self._counts, self._files, strict=True):
            os.fsync(file)
            (self._folder / (name + PARTIAL)).replace(self._folder / name)
        return tuple(self._counts)

    def close(self) -> None:
        """Close the files."""
        self._opened.close()


class _Pieces:
    """The pieces of a new file, each written as a whole before a row is written into it.

    The page cache keeps in large pages what is written at once, where the file system can (ext4 and
    XFS of recent kernels), and rows are read from large pages in three quarters of the time.
    """

    def __init__(self, file: int, size: int, zeros: bytes) -> None:
        """Take the file before it has its size; one that exists already may hold rows."""
        self._file = file
        self._size = size
        self._zeros = memoryview(zeros)
        self._lock = threading.Lock()
        is_new = os.fstat(file).st_size == 0
        self._left = set(range(-(-size // _PIECE))) if is_new else set()

    def touch(self, begin: int, length: int) -> None:
        """Write the pieces that hold these bytes, unless they are written."""
        with self._lock:
            for piece in range(begin // _PIECE, (begin + length - 1) // _PIECE + 1):
                if piece in self._left:
                    self._left.remove(piece)
                    place = piece * _PIECE
                    os.pwrite(self._file, self._zeros[: self._size - place], place)


def _allocated(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
