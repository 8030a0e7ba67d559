"""Where Torch reports that a worker process of a DataLoader was killed."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar

_OF_TORCH = "DataLoader worker"  # begins the text of its error


class EndOfChild:
    """In place of Torch's handler of SIGCHLD, which raises an error wherever the main thread is.

    Only the results that are waited for raise it: they could wait for a killed worker forever.
    """

    _report: ClassVar[Callable[[RuntimeError], None] | None] = None

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the end of a process."""
        try:
            self._handler(number, frame)
        except RuntimeError as error:
            if not str(error).startswith(_OF_TORCH):
                raise
            if (report := EndOfChild._report) is not None:
                report(error)

    @classmethod
    def install(cls) -> None:
        """Take the place of the handler, unless this is done or Torch is not used."""
        if "torch" not in sys.modules or threading.current_thread() is not threading.main_thread():
            return  # in another thread Torch has set none either
        handler = signal.getsignal(signal.SIGCHLD)
        if callable(handler) and not isinstance(handler, cls):
            signal.signal(signal.SIGCHLD, cls(handler))

    @classmethod
    @contextmanager
    def reported_to(cls, report: Callable[[RuntimeError], None]) -> Iterator[None]:
        """Have `report` called with Torch's error in this block, where a result is waited for."""
        before, cls._report = cls._report, report
        try:
            yield
        finally:
            cls._report = before
