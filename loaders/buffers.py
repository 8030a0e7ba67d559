"""Memory of batches, recycled once a batch is garbage-collected."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 64  # bytes; TensorFlow can share memory that is so aligned, without copying it


class Buffers:
    """Pool of uint8 batch buffers, recycled when a batch is garbage-collected."""

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An aligned, uninitialized uint8 array, in recycled memory if there is any.

        The first touch of new memory costs seven times as much as the copy into it.
        """
        size = math.prod(shape)
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = None
        if buffer is None or buffer.size < size:
            buffer = _aligned(size)
        # Through a memoryview, so that slices of the batch reference this array, not the buffer.
        batch: NDArray[Any] = np.frombuffer(buffer.data, np.uint8, size)
        weakref.finalize(batch, self._free.append, buffer).atexit = False
        return batch.reshape(shape)

    def floats(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The same as a float32 array."""
        *others, last = shape
        return self.allocate((*others, 4 * last)).view(np.float32)

    def clear(self) -> None:
        """Free the buffers that wait to be recycled."""
        self._free.clear()


def _aligned(size: int) -> NDArray[np.uint8]:
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin : begin + size]
