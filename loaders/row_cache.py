"""Decoded images kept by manifest row, in memory or in a file.

tf.data's own `cache()` replays its first pass, so no later epoch could follow the order. This cache
is addressed by row: it follows any order, and an epoch can be entered in its middle.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from feedbench.loaders.buffers import Buffers
from feedbench.loaders.errors import SettingsError


class RowCache:
    """uint8 images `[rows, side, side, 3]`, written by `put` and read by `take`."""

    def __init__(self, images: NDArray[np.uint8], file: Path | None = None) -> None:
        self._images = images
        self._file = file
        self._buffers = Buffers()

    @classmethod
    def in_memory(cls, rows: int, side: int) -> RowCache:
        """A cache in this process's memory.

        Raises:
            SettingsError: the images would not fit into the available memory.
        """
        need, free = rows * side * side * 3, psutil.virtual_memory().available
        if need > free:
            raise SettingsError(
                f"cache='decoded' needs {need / 1e9:.1f} GB of memory for {rows} images, "
                f"{free / 1e9:.1f} GB are available; use cache='disk'"
            )
        return cls(np.empty((rows, side, side, 3), np.uint8))

    @classmethod
    def in_file(cls, rows: int, side: int, folder: Path) -> RowCache:
        """A cache in a file, which `close` removes.

        Raises:
            SettingsError: the folder is not writable or its disk has too little space.
        """
        need = rows * side * side * 3
        try:
            free = shutil.disk_usage(folder).free
            if need > free:
                raise SettingsError(
                    f"cache='disk' needs {need / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB "
                    "left; choose another cache_dir"
                )
            handle, name = tempfile.mkstemp(".rows", "feedbench-", folder)
            os.close(handle)
            images = np.memmap(name, np.uint8, "w+", shape=(rows, side, side, 3))
        except OSError as error:
            raise SettingsError(f"cache_dir {folder}: {error.strerror}; choose another") from error
        return cls(images, Path(name))

    def put(self, rows: NDArray[np.int64] | int, images: NDArray[np.uint8]) -> None:
        """Store the images of some rows, or of one."""
        self._images[rows] = images

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of some rows, copied into one aligned batch that the caller may keep."""
        batch = self._buffers.allocate((len(rows), *self._images.shape[1:]))
        # mode="clip": the default checks into a buffer of its own, a second copy of the batch.
        np.take(self._images, rows, axis=0, out=batch, mode="clip")
        return batch

    def copy(self, row: int, into: NDArray[np.uint8]) -> None:
        """Copy the image of one row."""
        np.copyto(into, self._images[row])

    def close(self) -> None:
        """Free the memory and remove the file."""
        self._images = np.empty((0, 0, 0, 3), np.uint8)
        self._buffers.clear()
        if self._file is not None:
            self._file.unlink(missing_ok=True)
