"""Ends a training that is asked to end and does not, such as while a dead server owes it a read."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

GRACE_S = 30.0
_TELL_S = 2.0  # for other machines, which may not answer
_SHOW_CURSOR = b"\x1b[?25h"  # which a progress bar hides


@contextmanager
def ended_if_stuck(
    should_stop: Callable[[], bool],
    last_words: str,
    tell: Callable[[str], None] = lambda why: None,
) -> Iterator[Callable[[], bool]]:
    """Yield `should_stop`, and end this process if it does not follow a signal.

    After Ctrl-C it has `GRACE_S` seconds to end; after SIGTERM or SIGHUP, that and the time of two
    steps to call `should_stop`. A second Ctrl-C ends it at once. Python itself handles no signal
    while the main thread is inside a library or waits for a thread; the C handler writes to a pipe,
    which a thread reads.

    Args:
        last_words: the line to print before the process ends.
        tell: called before that with why, in words that follow the name of this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield should_stop
        return
    signals, into = os.pipe()
    os.set_blocking(into, False)
    terminal = os.dup(2)  # standard error may be a log later
    calls = _Calls(should_stop)
    thread = threading.Thread(
        target=_watch, args=(signals, calls, terminal, last_words, tell), daemon=True
    )
    thread.start()
    previous = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    try:
        yield calls
    finally:
        signal.set_wakeup_fd(previous)
        os.close(into)
        thread.join()
        os.close(signals)
        os.close(terminal)


class _Calls:
    """`should_stop` itself, with how it was called.

    Attributes:
        is_asked: whether SIGTERM or SIGHUP has arrived, though Python may not have handled it yet.
        is_followed: whether it has returned True.
        longest_s: the longest time between two calls.
    """

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self.is_asked = False
        self.is_followed = False
        self.longest_s = 0.0
        self._should_stop = should_stop
        self._last = monotonic()

    def __call__(self) -> bool:
        now = monotonic()
        self.longest_s, self._last = max(self.longest_s, now - self._last), now
        stop = self._should_stop() or self.is_asked
        self.is_followed = self.is_followed or stop
        return stop


def _watch(
    signals: int, calls: _Calls, terminal: int, last_words: str, tell: Callable[[str], None]
) -> None:
    """Follow the signals that arrive on a pipe until it is closed."""

    def end(number: int) -> None:
        _tell_in_time(tell, _why(number))
        end_at_once(terminal, last_words, 128 + number)

    deadline: float | None = None
    interrupts, asked_by = 0, 0
    while (numbers := _read(signals, deadline)) != b"":
        if numbers is None:
            if interrupts or not calls.is_followed:
                end(asked_by)
            deadline = None  # SIGTERM is followed: to save a checkpoint may take its time
            continue
        terminations = {signal.SIGTERM, signal.SIGHUP} & set(numbers)
        calls.is_asked = calls.is_asked or bool(terminations)
        interrupts += numbers.count(signal.SIGINT)
        if interrupts > 1:
            end(signal.SIGINT)
        if signal.SIGINT in numbers:
            deadline = monotonic() + GRACE_S
            asked_by = signal.SIGINT
        elif deadline is None and terminations:
            deadline = monotonic() + GRACE_S + 2 * calls.longest_s
            asked_by = max(terminations)


def _why(number: int) -> str:
    """Why a process ends after a signal, in words that follow its name."""
    if number == signal.SIGINT:
        return "was interrupted"
    return f"was ended by {signal.Signals(number).name}"


def _tell_in_time(tell: Callable[[str], None], why: str) -> None:
    """Tell others, who may be gone; this process ends all the same."""

    def told() -> None:
        with suppress(Exception):
            tell(why)

    thread = threading.Thread(target=told, daemon=True)
    thread.start()
    thread.join(_TELL_S)


def _read(pipe: int, deadline: float | None) -> bytes | None:
    """The signals that have arrived; empty if the pipe is closed, None after the deadline."""
    left = None if deadline is None else max(0.0, deadline - monotonic())
    ready, _, _ = select.select([pipe], [], [], left)
    return os.read(pipe, 64) if ready else None


def end_at_once(terminal: int, last_words: str, code: int) -> None:
    """End this process, whatever its main thread does, with a line.

    Args:
        terminal: file descriptor of what was standard error at the start.
    """
    with suppress(OSError):  # it is closed, or a log on a full disk
        if os.isatty(1):
            os.write(1, _SHOW_CURSOR)
        os.write(terminal, f"feedbench: {last_words}\n".encode(errors="backslashreplace"))
    os._exit(code)
