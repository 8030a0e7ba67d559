"""Images that are decoded once and then kept by row, in memory or in a pack."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.batch_pool import Source
from feedbench.loaders.errors import ImageError
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.writer import PackWriter
from feedbench.loaders.pool.compiled import Work
from feedbench.loaders.row_cache import RowCache

Pixels = NDArray[np.uint8]


class ImageStore(Protocol):
    """Where images are kept; its methods are called on several threads at once."""

    def holds(self, rows: Rows) -> bool:
        """Whether the images of all these rows are stored."""

    def read(self, row: int, into: Pixels) -> bool:
        """Copy the image of one row; False if it is not stored."""

    def work(self) -> Work | None:
        """How the compiled module copies images that are stored; None if it cannot."""

    def write(self, row: int, image: Pixels) -> None:
        """Store the image of one row, contiguous uint8 `[side, side, 3]`."""

    def fail(self, row: int) -> None:
        """Note that the image of a row cannot be read."""

    def close(self) -> None:
        """Free what the store holds."""


class CachedSource:
    """A source that looks into a store first, and stores there what it had to decode."""

    def __init__(self, source: Source, store: ImageStore) -> None:
        self._source = source
        self._store = store

    def find(self, rows: Rows) -> Any:
        """What the source needs to know about these rows; None for each if all are stored.

        Looking up paths costs more than copying an image.
        """
        return [None] * len(rows) if self._store.holds(rows) else self._source.find(rows)

    def work(self, items: Any) -> Work | None:
        """How the compiled module makes the images of a batch; None if not all are stored."""
        return self._store.work() if items[0] is None else None

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write the image of one row.

        Raises:
            ImageError: it is not stored and cannot be read.
        """
        if not self._store.read(row, into):
            if item is None:  # it was stored, and its pack has been damaged since
                item = self._source.find(np.array([row]))[0]
            try:
                self._source.load(row, item, into)
            except ImageError:
                self._store.fail(row)
                raise
            self._store.write(row, into)


class MemoryStore:
    """Images in this process's memory."""

    def __init__(self, rows: int, side: int) -> None:
        """Allocate the memory.

        Raises:
            SettingsError: not enough memory is free.
        """
        self._cache = RowCache.in_memory(rows, side)
        self._stored = np.zeros(rows, np.bool_)
        source = self._cache.source()
        self._work = None if source is None else Work(source)

    def holds(self, rows: Rows) -> bool:
        """Whether the images of all these rows are stored."""
        return bool(self._stored[rows].all())

    def read(self, row: int, into: Pixels) -> bool:
        """Copy the image of one row; False if it is not stored."""
        if not self._stored[row]:
            return False
        self._cache.copy(row, into)
        return True

    def work(self) -> Work | None:
        """How the compiled module copies them."""
        return self._work

    def write(self, row: int, image: Pixels) -> None:
        """Store the image of one row."""
        self._cache.put(row, image)
        self._stored[row] = True

    def fail(self, row: int) -> None:
        """Do nothing: the row is tried again when it is asked for."""

    def close(self) -> None:
        """Free the memory."""
        self._work = None
        self._cache.close()


class PackStore:
    """Images in a pack, which is complete once all rows are written."""

    def __init__(self, writer: PackWriter, failed: Iterable[int] = ()) -> None:
        self._writer = writer
        self._finishing = threading.Lock()
        self._finished = False
        for row in failed:
            self.fail(row)

    def holds(self, rows: Rows) -> bool:
        """Whether the images of all these rows are stored."""
        return self._writer.holds(rows)

    def read(self, row: int, into: Pixels) -> bool:
        """Copy the image of one row; False if it is not stored."""
        return self._writer.read(row, into)

    def work(self) -> None:
        """None: each row is checked when it is read first."""

    def write(self, row: int, image: Pixels) -> None:
        """Store the image of one row.

        Raises:
            SettingsError: the disk is full, or another error of the system.
        """
        self._writer.put(row, image)
        self._finish_if_complete()

    def fail(self, row: int) -> None:
        """Note that the image of a row cannot be read: the pack is complete without it."""
        self._writer.fail(row)
        self._finish_if_complete()

    def close(self) -> None:
        """Release the pack; what is written stays."""
        self._writer.close()

    def _finish_if_complete(self) -> None:
        if not self._writer.left:
            with self._finishing:
                if not self._finished:
                    self._writer.finish()
                self._finished = True
