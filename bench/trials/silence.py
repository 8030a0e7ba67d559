"""Says what is waited for, if nothing has come for long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from time import monotonic

FIRST_S = 15.0
_FACTOR = 3.0  # from one line to the next
_AGAIN_S = 3.0  # until the user's code is looked for again, if none of it is running
_LIBRARIES_S = 45.0  # that imports and compilation may take


class Silence:
    """The time since the last answer, which is reported at growing intervals."""

    def __init__(self, expected_s: float = 0.0, write: Callable[[str], None] | None = None) -> None:
        """Begin.

        Args:
            expected_s: seconds that the answer takes if all is well.
            write: takes each line; by default it goes to standard error.
        """
        self._expected_s = expected_s
        self._write = write or _to_stderr
        self._patience_s = FIRST_S
        self.restart()

    def restart(self) -> None:
        """Begin again, because something has come; the interval stays as long as it has grown."""
        self._began, self._due_s = monotonic(), self._expected_s + self._patience_s

    def tell(self, text: Callable[[float], str]) -> None:
        """Write a line if it is time for one.

        Args:
            text: makes the line from the seconds that have passed; empty if there is nothing to
                say yet. It may take its time, and is called in a thread.
        """
        seconds = monotonic() - self._began
        if seconds >= self._due_s:
            self._due_s = seconds + _AGAIN_S
            Thread(target=self._say, args=(text, seconds), daemon=True).start()

    def _say(self, text: Callable[[float], str], seconds: float) -> None:
        if line := text(seconds):
            self._patience_s = _FACTOR * seconds
            self._due_s = max(self._due_s, self._patience_s)
            self._write(line)


def silence_line(what: str, seconds: float, place: str) -> str:
    """The line about a user's function that has given nothing for some time.

    Args:
        what: such as "make (batch 3)".
        place: where in the user's code it is; empty if in none, as while libraries are imported
            and code is compiled. Nothing is said of that at first.
    """
    if not place and seconds < _LIBRARIES_S:
        return ""
    where = f"it is at {place}" if place else "none of your own Python code is running"
    return f"{what}: nothing for {seconds:.0f} s; {where}"


_writers: list[Callable[[str], None]] = []


@contextmanager
def lines_through(write: Callable[[str], None]) -> Iterator[None]:
    """Have lines that would go to standard error written by `write`, as by a live display."""
    _writers.append(write)
    try:
        yield
    finally:
        _writers.remove(write)


def _to_stderr(line: str) -> None:
    text = f"feedbench: {line}"
    if _writers:
        _writers[-1](text)
    else:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
