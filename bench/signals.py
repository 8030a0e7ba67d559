"""Signal handling: SIGTERM requests a clean stop, and Ctrl-C can be deferred."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Yield a callable that returns whether SIGTERM has been received."""
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set  # only the main thread may handle signals
        return

    def on_sigterm(number: int, frame: Any) -> None:
        received.set()

    previous = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield received.is_set
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C until the body has ended; child processes started in it never receive it.

    Children inherit the signal mask and so print no traceback. The mask alone does not protect
    this process: another thread may receive the signal, and Python would still raise
    KeyboardInterrupt in the main thread. Hence the handler.
    """
    received: list[int] = []
    in_main_thread = threading.current_thread() is threading.main_thread()
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = (
        signal.signal(signal.SIGINT, lambda *_: received.append(1)) if in_main_thread else None
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)
