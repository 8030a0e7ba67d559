"""Pictures that are decoded once and kept by row, in memory or in a pack."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.batch_pool import Source
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.writer import PackWriter
from feedbench.loaders.row_cache import RowCache

Pixels = NDArray[np.uint8]


class Store(Protocol):
    """Where pictures are kept; its methods are called on several threads at once."""

    def holds(self, rows: Rows) -> bool:
        """Whether all of these rows are there."""

    def read(self, row: int, into: Pixels) -> bool:
        """Fill `into` with a row's picture; False where it is not there."""

    def keep(self, row: int, image: Pixels) -> None:
        """Keep a row's picture, contiguous uint8 `[side, side, 3]`."""

    def close(self) -> None:
        """Free what it holds."""


class Keeping:
    """A source that asks a store first, and keeps there what it had to decode."""

    def __init__(self, source: Source, store: Store) -> None:
        self._source = source
        self._store = store

    def find(self, rows: Rows) -> Any:
        """What the source needs to know of some rows; nothing where all of them are kept.

        Finding costs more than copying a picture.
        """
        return [None] * len(rows) if self._store.holds(rows) else self._source.find(rows)

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write one row's picture.

        Raises:
            ImageError: it is not kept and cannot be read.
        """
        if not self._store.read(row, into):
            if item is None:  # it was kept, and its pack has been cut since
                item = self._source.find(np.array([row]))[0]
            self._source.load(row, item, into)
            self._store.keep(row, into)


class InMemory:
    """Pictures in this process's memory."""

    def __init__(self, rows: int, side: int) -> None:
        """Take the memory.

        Raises:
            SettingsError: so much is not free.
        """
        self._cache = RowCache.in_memory(rows, side)
        self._there = np.zeros(rows, np.bool_)

    def holds(self, rows: Rows) -> bool:
        """Whether all of these rows are there."""
        return bool(self._there[rows].all())

    def read(self, row: int, into: Pixels) -> bool:
        """Fill `into` with a row's picture; False where it is not there."""
        if not self._there[row]:
            return False
        self._cache.copy(row, into)
        return True

    def keep(self, row: int, image: Pixels) -> None:
        """Keep a row's picture."""
        self._cache.put(row, image)
        self._there[row] = True

    def close(self) -> None:
        """Free the memory."""
        self._cache.close()


class InPack:
    """Pictures in a pack: written as they come, whole when the last one has come."""

    def __init__(self, writer: PackWriter) -> None:
        self._writer = writer
        self._finishing = threading.Lock()
        self._finished = False

    def holds(self, rows: Rows) -> bool:
        """Whether all of these rows are there."""
        return self._writer.holds(rows)

    def read(self, row: int, into: Pixels) -> bool:
        """Fill `into` with a row's picture; False where it is not there."""
        return self._writer.read(row, into)

    def keep(self, row: int, image: Pixels) -> None:
        """Write a row's picture.

        Raises:
            SettingsError: the disk is full, or another trouble of the system.
        """
        self._writer.put(row, image)
        if not self._writer.left:
            with self._finishing:
                if not self._finished:
                    self._writer.finish()
                self._finished = True

    def close(self) -> None:
        """Let go of the pack; what is written stays."""
        self._writer.close()
