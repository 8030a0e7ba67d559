"""Several rows of a pack read with one call: by a compiled module where it was built."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.int64]


@cache
def compiled_module() -> Any | None:
    """The compiled module; None where it was not built."""
    try:
        return import_module("feedbench.loaders.pack._reading")
    except ImportError:
        return None


class Places(NamedTuple):
    """Where the rows of a batch are.

    Attributes:
        files: the open file of each row, int32.
        offsets: of its bytes, int64.
        lengths: their number, int64.
    """

    files: NDArray[np.int32]
    offsets: Numbers
    lengths: Numbers


def read_rows(places: Places, piece: range, into: Pixels) -> int:
    """Read some rows of open files, one after the other, into contiguous memory.

    Without the compiled module each row is a call of its own, for which Python's lock is taken.

    Returns:
        The number of rows before the first that cannot be read whole.
    """
    module = compiled_module()
    if module is not None:
        return int(module.read(*places, piece.start, piece.stop, into))
    view = into.reshape(-1).data
    begin = done = 0
    part = slice(piece.start, piece.stop)
    for file, offset, length in zip(*(one[part].tolist() for one in places), strict=True):
        if not _read_row(file, view[begin : begin + length], offset, length):
            break
        begin, done = begin + length, done + 1
    return done


def _read_row(file: int, view: memoryview, offset: int, length: int) -> bool:
    """Whether a row could be read whole."""
    try:
        while view and (count := os.preadv(file, [view], offset)):
            view, offset, length = view[count:], offset + count, length - count
    except OSError:
        return False
    return not length
