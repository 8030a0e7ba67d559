"""Objects read ahead of decoding: a core waits longer for an answer than it decodes."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from feedbench.loaders.address import extent_of, is_remote
from feedbench.loaders.errors import CLOSED, LoaderError
from feedbench.loaders.remote.read import Fetching, read_object


class ReadAhead:
    """Reads up to `depth` objects at once; files are left to those who decode them.

    It can be sent to another process, which then reads by threads of its own.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._closed = threading.Event()
        self._starting = threading.Lock()  # of a read: none may start once it is closed
        self._threads: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def start(self, addresses: list[bytes]) -> list[bytes]:
        """The same addresses; objects are being read, and `read_file` waits for their bytes.

        Raises:
            LoaderError: it is closed.
        """
        if not addresses or not is_remote(addresses[0]):
            return addresses
        return [self._started(address) for address in addresses]

    def close(self) -> None:
        """Stop: what is not read yet fails at once."""
        with self._starting:
            self._closed.set()
        if self._threads is not None and self._process == os.getpid():
            self._threads.shutdown(cancel_futures=True)

    def _started(self, address: bytes) -> bytes:
        fetching = Fetching(address)
        extent, is_closed = extent_of(address), self._closed.is_set
        with self._starting:
            if is_closed():
                raise LoaderError(CLOSED)
            fetching.future = self._pool().submit(read_object, address, extent, is_closed)
        return fetching

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None or self._process != os.getpid():
            self._threads = ThreadPoolExecutor(self._depth, "feedbench-fetch")
            self._process = os.getpid()
        return self._threads

    def __reduce__(self) -> tuple[Any, ...]:
        return ReadAhead, (self._depth,)
