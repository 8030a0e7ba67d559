"""FIFOs in the place of images: TensorFlow opens them, and would wait forever for a writer."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any, Self

import numpy as np

from feedbench.loaders.address import file_of
from feedbench.loaders.manifest import Manifest

STALL_S = 10.0  # without a batch: only then are all files looked at
_PERIOD_S = 1.0
_ROWS = 1024  # looked up at a time


class FifoWatch:
    """Ends reads of FIFOs by a thread, inside a `with`; the reader then finds an empty file.

    A check before each read would cost a call of Python per image inside TensorFlow's graph.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._since: float | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="feedbench-fifos", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def over(self, elements: Iterable[Any]) -> Iterator[Any]:
        """The elements; waiting for one, and for the end of their threads, is watched."""
        iterator = iter(elements)
        try:
            while True:
                self._since = monotonic()
                try:
                    element = next(iterator)
                except StopIteration:
                    return
                except Exception as error:
                    error.__context__ = None  # whose frames hold the iterator
                    raise error.with_traceback(None) from None
                self._since = None
                yield element
        finally:
            self._since = monotonic()
            del iterator  # waits for TensorFlow's threads, and so for their reads
            self._since = None

    def _watch(self) -> None:
        looked = 0.0
        while not self._closed.wait(_PERIOD_S):
            since = self._since
            if since is not None and monotonic() - max(since, looked) > STALL_S:
                self._release_readers()
                looked = monotonic()

    def _release_readers(self) -> None:
        if self._manifest.is_remote:
            return
        for begin in range(0, len(self._manifest), _ROWS):
            rows = np.arange(begin, min(begin + _ROWS, len(self._manifest)))
            for path in self._manifest.paths(rows):
                if self._closed.is_set():
                    return
                release_readers(path)


def release_readers(path: bytes) -> None:
    """Release all readers that wait to open a FIFO, with an empty file; others are left."""
    with suppress(OSError):
        if stat.S_ISFIFO(os.stat(file_of(path)).st_mode):
            os.close(os.open(file_of(path), os.O_WRONLY | os.O_NONBLOCK))
