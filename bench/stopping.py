"""SIGTERM asks a training to keep where it stands and end, instead of killing it."""

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
