"""Says where a user's function stands, if a training waits for it for long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread

from feedbench.bench.trials.silence import Silence, silence_line
from feedbench.loaders.own import Waiting, waited_for

_POLL_S = 1.0


@contextmanager
def hangs_told(write: Callable[[str], None]) -> Iterator[None]:
    """Watch the calls of users' functions in this process from a thread.

    Args:
        write: called with a line; at growing intervals while one call does not return.
    """
    over = Event()
    thread = Thread(target=_watch, args=(over, write), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(over: Event, write: Callable[[str], None]) -> None:
    silence, last = Silence(write=write), None
    while not over.wait(_POLL_S):
        call = waited_for()
        if call is None or call is not last:
            silence.restart()
            last = call
        else:
            silence.tell(partial(_line, call))


def _line(call: Waiting, seconds: float) -> str:
    return silence_line(f"{call.function.function} ({call.what})", seconds, call.place())
