"""SIGTERM asks a training to keep where it stands and end; Ctrl-C waits where it must."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Gives what tells whether SIGTERM has come since."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread may handle signals
        return

    def note(number: int, frame: Any) -> None:
        asked.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C; processes started meanwhile never get it, and so print no tracebacks.

    The mask is for them. It keeps the signal from this thread alone: another may take it, and
    Python would raise KeyboardInterrupt here all the same, with a process half started.
    """
    came: list[int] = []
    here = threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.signal(signal.SIGINT, lambda *_: came.append(1)) if here else None
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if here:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
