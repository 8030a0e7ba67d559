"""Which call of a user's function this process waits for, and at which line."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from traceback import walk_stack
from types import FrameType
from typing import NoReturn

from feedbench.loaders.end_of_child import EndOfChild
from feedbench.loaders.own.errors import is_users
from feedbench.loaders.own.function import OwnFunction, shown

_IMPORT_SYSTEM = "<frozen importlib."  # files of its frames
_latest: Waiting | None = None


@dataclass(frozen=True, eq=False)
class Waiting:
    """A call into a user's function that has not returned yet.

    Attributes:
        what: such as "batch 3".
        thread: that calls it.
    """

    function: OwnFunction
    what: str
    thread: int = field(default_factory=threading.get_ident)

    def place(self) -> str:
        """File, line and name of the innermost frame in the user's code; empty if in none.

        The calling thread is looked at first, then all others. If it waits for an import, that is
        said.
        """
        frames = sys._current_frames()  # noqa: SLF001  no public name
        calling = frames.pop(self.thread, None)
        stacks = [frame for frame in (calling, *frames.values()) if frame is not None]
        return next(filter(None, map(self._place_in, stacks)), "")

    def _place_in(self, innermost: FrameType) -> str:
        inner: list[str] = []
        for frame, line in walk_stack(innermost):
            file, name = frame.f_code.co_filename, frame.f_code.co_name
            if is_users(self.function, file):
                place = f"{shown(Path(file))}, line {line}, in {name}"
                is_importing = any(one.startswith(_IMPORT_SYSTEM) for one in inner)
                return f"{place}, which is still importing" if is_importing else place
            inner.append(file)
        return ""


def waited_for() -> Waiting | None:
    """The call that is waited for now; None without one."""
    return _latest


@contextmanager
def waiting_for(function: OwnFunction, what: str) -> Iterator[None]:
    """Note that a user's function is waited for; batches are taken by one thread at a time.

    That a worker process of its DataLoader was killed is an error in this block only: outside of
    it, Torch would raise one in the midst of a training step.
    """
    global _latest
    before, _latest = _latest, Waiting(function, what)
    try:
        with EndOfChild.reported_to(_raised):
            yield
    finally:
        _latest = before
        EndOfChild.install()


def _raised(error: RuntimeError) -> NoReturn:
    raise error
