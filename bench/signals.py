"""Signal handling: what asks a command to end does so cleanly, and never during a write."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_TERMINATION = (signal.SIGTERM, signal.SIGHUP)  # `kill`, and a terminal that was closed
_terminated_by: list[int] = []


def interrupt_on_termination() -> None:
    """Have Ctrl-C, SIGTERM and SIGHUP interrupt this process by a KeyboardInterrupt.

    A signal that is ignored, such as SIGHUP under nohup, stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # since the command line has started
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _TERMINATION:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: Any) -> None:
    _terminated_by.append(number)
    raise KeyboardInterrupt


def exit_code() -> int:
    """Return the exit code of a process that a signal interrupts: 128 + its number, as in a shell.

    Without SIGTERM or SIGHUP it was Ctrl-C.
    """
    return 128 + next(iter(_terminated_by), signal.SIGINT)


def end_by_broken_pipe() -> None:
    """End this process by SIGPIPE, as a program ends whose reader is gone; Python ignores it."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})
    signal.raise_signal(signal.SIGPIPE)


@contextmanager
def stop_on_termination() -> Iterator[Callable[[], bool]]:
    """Yield a callable that returns whether SIGTERM or SIGHUP has been received."""
    received = threading.Event()
    numbers = [number for number in _TERMINATION if signal.getsignal(number) != signal.SIG_IGN]
    with _handled(numbers, lambda number, frame: received.set()):
        yield received.is_set


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C, SIGTERM and SIGHUP until the body has ended.

    Child processes started in it never receive Ctrl-C: they inherit the signal mask, and so print
    no traceback. The mask alone does not protect this process: another thread may receive the
    signal, and Python would still raise KeyboardInterrupt in the main thread. Hence the handlers.
    """
    received: list[int] = []
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _handled(
            [signal.SIGINT, *_TERMINATION], lambda number, frame: received.append(number)
        ):
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
    finally:
        for number in received[:1]:
            signal.raise_signal(number)


@contextmanager
def _handled(
    numbers: list[signal.Signals], handler: Callable[[int, Any], object]
) -> Iterator[None]:
    """Handle signals in the body, if this is the main thread: no other thread may."""
    previous = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in previous.items():
            signal.signal(number, handler_before)
