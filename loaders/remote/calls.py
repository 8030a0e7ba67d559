"""Calls of a storage's coroutines from threads: waited for, cancelled, tried again."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from threading import Event
from typing import Any

ATTEMPTS = 5
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 15
CONNECTIONS = 128  # of one process; read depths above it wait for a connection
LEAST_BYTES_PER_S = 10_000  # an answer that is slower on average is asked for again
PAGE_BYTES = 2_000_000  # of 1,000 objects in a listing, at most; its answer need not say its size
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 20.0  # between attempts, doubled each time
_POLL_S = 0.25


def waited(call: Any, loop: Any, is_cancelled: Callable[[], bool] = lambda: False) -> Any:
    """The result of a coroutine that runs on the event loop of another thread.

    Raises:
        OSError: it was cancelled meanwhile.
        Exception: whatever the coroutine raises.
    """
    future = asyncio.run_coroutine_threadsafe(call, loop)
    try:
        while True:
            try:
                return future.result(_POLL_S)
            except NotYet:
                if future.done():
                    return future.result()
                if is_cancelled():
                    raise OSError(errno.ECANCELED, "reading was stopped") from None
    finally:
        future.cancel()  # also at Ctrl-C; nothing if it is done


@contextmanager
def threads(count: int, name: str) -> Iterator[tuple[ThreadPoolExecutor, Callable[[], bool]]]:
    """Yield threads, and a function that says whether their work is over, as after Ctrl-C."""
    over = Event()
    with ThreadPoolExecutor(count, name) as pool:
        try:
            yield pool, over.is_set
        finally:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)


async def retried(call: Callable[[], Awaitable[Any]], is_final: Callable[[Exception], bool]) -> Any:
    """The result of a call, tried again after growing waits.

    Args:
        is_final: whether an error would only come again.
    """
    for attempt in range(ATTEMPTS):
        try:
            return await call()
        except Exception as error:
            if attempt == ATTEMPTS - 1 or is_final(error):
                raise
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt)
        await asyncio.sleep(wait_s * random.uniform(0.5, 1))
    raise AssertionError


def longest_s(size: int) -> float:
    """Seconds that an answer of this size may take: some servers send a byte now and then."""
    return READ_TIMEOUT_S + size / LEAST_BYTES_PER_S


def silent() -> OSError:
    """The error for a server that accepts a request but does not answer, or hardly sends data."""
    return OSError(
        errno.ETIMEDOUT,
        f"the server was silent for {READ_TIMEOUT_S} s, or slower than "
        f"{LEAST_BYTES_PER_S / 1000:g} kB/s, {ATTEMPTS} times in a row",
    )


def cut() -> OSError:
    """The error for answers that end too early."""
    return OSError(errno.ECONNRESET, f"the connection was cut {ATTEMPTS} times in a row")


def unreachable() -> OSError:
    """The error for a server that accepts no connection."""
    return OSError(
        errno.ECONNREFUSED,
        f"the server cannot be reached, after {ATTEMPTS} attempts; check the network and the "
        "endpoint",
    )
