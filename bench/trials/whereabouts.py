"""Where a process that hangs stands in the user's own code."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import psutil

_OURS = Path(__file__).parents[2]
_MOST_WORKERS = 4  # that are asked where they stand
_WAIT_S = 2.0  # for a process to write where it stands; it does so even while it holds the GIL
_CAUGHT = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)
_THREAD = re.compile(r"^(?:Current thread|Thread) .*$", re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)
_IMPORT_SYSTEM = "<frozen importlib."


def write_on_signal() -> None:
    """Have this process write the stacks of its threads to standard error on SIGUSR1."""
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)


def whereabouts(pid: int, log: Path, code: Path) -> str:
    """Return file, line and function in which a process stands; empty if not in the user's code.

    If it waits for worker processes that it has forked, where the first of them stands. An import
    that the user's code has begun is named as such: a large library may take a minute.

    Args:
        log: to which the processes write their standard error.
        code: folder of the user's code.
    """
    places = (_whereabouts(one, log, code) for one in (pid, *_workers(pid)))
    return next(filter(None, places), "")


def _workers(pid: int) -> list[int]:
    with suppress(psutil.Error):
        children = psutil.Process(pid).children(recursive=True)
        return [child.pid for child in children[:_MOST_WORKERS]]
    return []


def _whereabouts(pid: int, log: Path, code: Path) -> str:
    if not _catches_signal(pid):
        return ""
    before = log.stat().st_size
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR1)
    deadline = monotonic() + _WAIT_S
    while monotonic() < deadline:
        stacks = _THREAD.split(_text_from(log, before))
        if place := next(filter(None, (_place_in(stack, code) for stack in stacks)), ""):
            return place
        sleep(0.05)
    return ""


def _place_in(stack: str, code: Path) -> str:
    """Return where the user's code stands in a stack, whose innermost frame is the first."""
    inner: list[str] = []
    for found in _FRAME.finditer(stack):
        path = Path(found["file"])
        is_other = "site-packages" in path.parts or path.is_relative_to(_OURS)
        if path.is_relative_to(code) and not is_other:
            return _place_text(f"{path}, line {found['line']}, in {found['name']}", inner)
        inner.append(found["file"])
    return ""


def _place_text(place: str, inner: Iterable[str]) -> str:
    """Return a place in the user's code, and whether it waits for an import there.

    Args:
        place: file, line and function.
        inner: files of the frames that it has called.
    """
    is_importing = any(file.startswith(_IMPORT_SYSTEM) for file in inner)
    return f"{place}, which is still importing" if is_importing else place


def _catches_signal(pid: int) -> bool:
    """Whether a process has called `write_on_signal` yet; before that, the signal would end it."""
    with suppress(OSError):
        caught = _CAUGHT.search(Path(f"/proc/{pid}/status").read_text())
        return caught is not None and bool(int(caught[1], 16) >> (signal.SIGUSR1 - 1) & 1)
    return False


def _text_from(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")
