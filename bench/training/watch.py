"""Says where a user's function stands, if a training waits for it for long."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

from feedbench.bench.trials.silence import Silence, silence_line
from feedbench.bench.trials.whereabouts import (
    with_worker,
    worker_whereabouts,
    write_on_signal,
)
from feedbench.loaders.own import Waiting, waited_for

_POLL_S = 1.0


@contextmanager
def hangs_told(write: Callable[[str], None], log: Path) -> Iterator[None]:
    """Watch the calls of users' functions in this process from a thread.

    Args:
        write: called with a line; at growing intervals while one call does not return.
        log: to which this process and its worker processes write their standard error.
    """
    write_on_signal()
    over = Event()
    thread = Thread(target=_watch, args=(over, write, log), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(over: Event, write: Callable[[str], None], log: Path) -> None:
    silence, last = Silence(write=write), None
    while not over.wait(_POLL_S):
        call = waited_for()
        if call is None or call is not last:
            silence.restart()
            last = call
        else:
            silence.tell(partial(_line, call, log))


def _line(call: Waiting, log: Path, seconds: float) -> str:
    place, worker = call.place(), worker_whereabouts(os.getpid(), log, call.function.folder)
    what = f"{call.function.function} ({call.what})"
    return silence_line(what, seconds, with_worker(place, worker))
