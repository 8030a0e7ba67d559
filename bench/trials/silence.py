"""Says what is waited for, if nothing has come for long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Thread
from time import monotonic

FIRST_S = 15.0
_FACTOR = 3.0  # from one line to the next


class Silence:
    """The time since the last answer; it is told at intervals that grow."""

    def __init__(self, expected_s: float = 0.0, write: Callable[[str], None] | None = None) -> None:
        """Begin.

        Args:
            expected_s: seconds that the answer takes if all is well.
            write: takes each line; by default it goes to standard error.
        """
        self._expected_s = expected_s
        self._write = write or _to_stderr
        self.restart()

    def restart(self) -> None:
        """Begin again: something has come."""
        self._began, self._due_s = monotonic(), self._expected_s + FIRST_S

    def tell(self, text: Callable[[float], str]) -> None:
        """Write a line if it is time for one.

        Args:
            text: makes the line from the seconds that have passed; it may take its time, and is
                called in a thread.
        """
        seconds = monotonic() - self._began
        if seconds >= self._due_s:
            self._due_s = _FACTOR * seconds
            Thread(target=lambda: self._write(text(seconds)), daemon=True).start()


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"feedbench: {line}\n")
    sys.stderr.flush()
