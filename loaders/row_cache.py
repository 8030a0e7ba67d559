"""Decoded images kept by manifest row in memory.

tf.data's own `cache()` replays its first pass, so no later epoch could follow the order. This cache
is addressed by row: it follows any order, and an epoch can be entered in its middle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.amounts import amount
from feedbench.loaders.buffers import Buffers
from feedbench.loaders.errors import SettingsError
from feedbench.loaders.memory import available_memory
from feedbench.loaders.pool.compiled import source_of_memory


class RowCache:
    """uint8 images `[rows, side, side, 3]`, written by `put` and read by `take`."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images = images
        self._buffers = Buffers()

    @classmethod
    def in_memory(cls, rows: int, side: int) -> RowCache:
        """A cache of `rows` images of `side` × `side` pixels, uint8.

        Raises:
            SettingsError: the images would not fit into the available memory.
        """
        need, free = rows * side * side * 3, available_memory()
        if need > free:
            raise SettingsError(
                f"cache='decoded' needs {amount(need)} of memory for {rows:,} images, "
                f"{amount(free)} are available; use cache='disk'"
            )
        return cls(np.empty((rows, side, side, 3), np.uint8))

    def put(self, rows: NDArray[np.int64] | int, images: NDArray[np.uint8]) -> None:
        """Store the images of some rows, or of one."""
        self._images[rows] = images

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of some rows, copied into one aligned batch that the caller may keep."""
        batch = self._buffers.allocate((len(rows), *self._images.shape[1:]))
        self.take_into(rows, batch)
        return batch

    def take_into(self, rows: NDArray[np.int64], batch: NDArray[np.uint8]) -> None:
        """Copy the images of some rows into contiguous memory, without Python's lock."""
        # mode="clip": the default checks into a buffer of its own, a second copy of the batch.
        np.take(self._images, rows, axis=0, out=batch, mode="clip")

    def source(self) -> Any | None:
        """The images as the compiled module copies them; None where it was not built."""
        return source_of_memory(self._images)

    def copy(self, row: int, into: NDArray[np.uint8]) -> None:
        """Copy the image of one row."""
        np.copyto(into, self._images[row])

    def close(self) -> None:
        """Free the memory."""
        self._images = np.empty((0, 0, 0, 3), np.uint8)
        self._buffers.clear()
