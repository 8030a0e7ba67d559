"""Decoded images kept by manifest row in a file without a name."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.amounts import amount
from feedbench.loaders.buffers import Buffers
from feedbench.loaders.closing import closed_on_error
from feedbench.loaders.errors import SettingsError


class RowFile:
    """uint8 images `[rows, side, side, 3]`, written by `put` and read by `take`.

    The file disappears with its process, however that ends. All its space is reserved first, and it
    is read by system calls: if it were mapped, a disk that fills later would kill the process, and
    its pages would count as memory of the process.
    """

    def __init__(self, rows: int, side: int, folder: Path) -> None:
        """Reserve the space.

        Raises:
            SettingsError: the folder is not writable or its disk has too little space.
        """
        self._shape = (side, side, 3)
        self._row_bytes = side * side * 3
        self._buffers = Buffers()
        try:
            _check_space(folder, rows * self._row_bytes)
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  closed by `close`
            with closed_on_error(file):
                os.posix_fallocate(file.fileno(), 0, rows * self._row_bytes)
        except OSError as error:
            raise SettingsError(f"cache_dir {folder}: {error.strerror}; choose another") from error
        self._file = file

    def put(self, rows: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        """Store the images of some rows.

        Raises:
            OSError: the disk fails.
        """
        for row, image in zip(rows.tolist(), images, strict=True):
            view, offset = np.ascontiguousarray(image).reshape(-1).data, row * self._row_bytes
            while view:
                count = os.pwrite(self._file.fileno(), view, offset)
                view, offset = view[count:], offset + count

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of some rows, copied into one aligned batch that the caller may keep.

        Raises:
            OSError: the disk fails.
        """
        batch = self._buffers.allocate((len(rows), *self._shape))
        for row, image in zip(rows.tolist(), batch, strict=True):
            view, offset = image.reshape(-1).data, row * self._row_bytes
            while view and (count := os.preadv(self._file.fileno(), [view], offset)):
                view, offset = view[count:], offset + count
        return batch

    def close(self) -> None:
        """Free the memory and the space on the disk."""
        self._file.close()
        self._buffers.clear()


def _check_space(folder: Path, need: int) -> None:
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SettingsError(
            f"cache='disk' needs {amount(need)}, {folder} has {amount(free)} left; choose another "
            "cache_dir"
        )
