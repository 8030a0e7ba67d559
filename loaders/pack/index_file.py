"""The index of a partial pack: in memory, and in a file that a later process resumes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.npy import npy_header, open_npy, write_npy
from feedbench.loaders.pack.pack import ENTRY


class IndexFile:
    """An ENTRY per row; the file is written by system calls.

    If it were mapped, a file that something else truncates would kill the process.

    Attributes:
        entries: in memory; what is changed here has to be written.
    """

    def __init__(self, path: Path, rows: int) -> None:
        """Open an index.

        Raises:
            ValueError: it is another file; the message names it.
            OSError: it cannot be opened.
        """
        self.entries: NDArray[Any] = np.array(open_npy(path, ENTRY, rows))
        self._begin = len(npy_header(ENTRY, (rows,)))
        self._file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    @classmethod
    def new(cls, path: Path, rows: int) -> IndexFile:
        """Write an index without any row, so that it has its space, and open it.

        Raises:
            OSError: the disk is full, or another error of the system.
        """
        write_npy(path, np.zeros(rows, ENTRY))
        return cls(path, rows)

    def write(self, row: int) -> None:
        """Write the entry of one row.

        Raises:
            OSError: the disk fails.
        """
        os.pwrite(self._file, self.entries[row].tobytes(), self._begin + row * ENTRY.itemsize)

    def write_all(self) -> None:
        """Write all entries, to the disk.

        Raises:
            OSError: the disk fails.
        """
        view, offset = self.entries.view(np.uint8).data, self._begin
        while view:
            count = os.pwrite(self._file, view, offset)
            view, offset = view[count:], offset + count
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
