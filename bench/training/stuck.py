"""Ends a training that is asked to end and does not, such as while a dead server owes it a read."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from feedbench.bench.errors import INTERRUPTED, NOTHING_DONE

GRACE_S = 30.0
_SHOW_CURSOR = b"\x1b[?25h"  # which a progress bar hides


@contextmanager
def ended_if_stuck(
    should_stop: Callable[[], bool], last_words: str
) -> Iterator[Callable[[], bool]]:
    """Yield `should_stop`, and end this process if it does not follow a signal.

    After Ctrl-C it has `GRACE_S` seconds to end; after SIGTERM or SIGHUP to call `should_stop`. A
    second Ctrl-C ends it at once. Python itself handles no signal while the main thread is inside
    a library or waits for a thread; the C handler writes to a pipe, which a thread reads.

    Args:
        last_words: the line to print before the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield should_stop
        return
    signals, into = os.pipe()
    os.set_blocking(into, False)
    terminal = os.dup(2)  # standard error may be a log later
    followed = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(signals, followed, terminal, last_words), daemon=True
    )
    thread.start()

    def following() -> bool:
        stop = should_stop()
        if stop:
            followed.set()
        return stop

    previous = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    try:
        yield following
    finally:
        signal.set_wakeup_fd(previous)
        os.close(into)
        thread.join()
        os.close(signals)
        os.close(terminal)


def _watch(signals: int, followed: threading.Event, terminal: int, last_words: str) -> None:
    """Follow the signals that arrive on a pipe until it is closed."""
    deadline: float | None = None
    interrupts = 0
    while (numbers := _read(signals, deadline)) != b"":
        if numbers is None:
            if interrupts or not followed.is_set():
                _end(terminal, last_words, INTERRUPTED if interrupts else NOTHING_DONE)
            deadline = None  # SIGTERM is followed: to save a checkpoint may take its time
            continue
        interrupts += numbers.count(signal.SIGINT)
        if interrupts > 1:
            _end(terminal, last_words, INTERRUPTED)
        if any(number in numbers for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
            deadline = deadline or monotonic() + GRACE_S


def _read(pipe: int, deadline: float | None) -> bytes | None:
    """The signals that have arrived; empty if the pipe is closed, None after the deadline."""
    left = None if deadline is None else max(0.0, deadline - monotonic())
    ready, _, _ = select.select([pipe], [], [], left)
    return os.read(pipe, 64) if ready else None


def _end(terminal: int, last_words: str, code: int) -> None:
    if os.isatty(1):
        os.write(1, _SHOW_CURSOR)
    os.write(terminal, f"feedbench: {last_words}\n".encode(errors="backslashreplace"))
    os._exit(code)
