"""Memory of batches that is used again once nobody holds them."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 64  # bytes; TensorFlow takes over a NumPy buffer so aligned without copying it


class Buffers:
    """Gives uint8 arrays; what a batch was made in serves again when the batch is gone."""

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []

    def fresh(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An aligned uint8 array in memory that nobody holds any more, or in new memory.

        The first touch of new memory costs seven times the copy into it.
        """
        size = math.prod(shape)
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = None
        if buffer is None or buffer.size < size + _ALIGNMENT:
            buffer = np.empty(size + _ALIGNMENT, np.uint8)
        begin = -buffer.ctypes.data % _ALIGNMENT
        # Through a memoryview, so that slices of the batch hold this array and not the buffer.
        batch: NDArray[Any] = np.frombuffer(buffer.data[begin : begin + size], np.uint8)
        weakref.finalize(batch, self._free.append, buffer).atexit = False
        return batch.reshape(shape)

    def clear(self) -> None:
        """Free what waits to be used again."""
        self._free.clear()
