"""Where a process that hangs stands in the user's own code, and its worker processes."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing import spawn
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil

from feedbench.loaders.own import shown

_STDERR = 2
_OURS = Path(__file__).parents[2]
_MOST_WORKERS = 16  # that are asked where they stand
_WAIT_S = 2.0  # for a process to write where it stands; it does so even while it holds the GIL
_POLL_S = 0.05
_QUIET_S = 0.3  # after which nothing more is expected: stacks are written in one go
_CAUGHT = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)
_THREAD = re.compile(r"^(?:Current thread|Thread) .*$", re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)
_ESCAPED = re.compile(r"\\(?:x(..)|u(....)|U(.{8}))")  # how faulthandler writes other characters
_IMPORT_SYSTEM = "<frozen importlib."


class _RegisteredOnArrival:
    """What is sent to a spawned process, and has it write its stacks on SIGUSR1 too."""

    def __reduce__(self) -> Any:
        return faulthandler.register, (signal.SIGUSR1, _STDERR)


def write_on_signal() -> None:
    """Have this process write the stacks of its threads to standard error on SIGUSR1.

    So do the processes that it forks, and those that Python's multiprocessing spawns for it, also
    by its fork server.
    """
    faulthandler.register(signal.SIGUSR1, _STDERR, all_threads=True)
    if not hasattr(spawn.get_preparation_data, "__wrapped__"):
        spawn.get_preparation_data = _registering(spawn.get_preparation_data)


def _registering(prepared: Any) -> Any:
    """What multiprocessing sends first to each process that it spawns, with one thing more."""

    def also_registered(name: str) -> dict[str, Any]:
        return {**prepared(name), "feedbench": _RegisteredOnArrival()}

    also_registered.__wrapped__ = prepared  # type: ignore[attr-defined]
    return also_registered


def whereabouts(pid: int, log: Path, code: Path) -> str:
    """Return file, line and function in which a process stands; empty if not in the user's code.

    Where one of its worker processes stands in the user's code, too, is said of the first such
    worker. An import that the user's code has begun is named as such: a large library may take a
    minute.

    Args:
        log: to which the processes write their standard error.
        code: folder of the user's code.
    """
    return with_worker(_whereabouts(pid, log, code), worker_whereabouts(pid, log, code))


def with_worker(place: str, worker: str) -> str:
    """Return where a process stands and where one of its workers does; each may be empty."""
    return f"{place}; a worker process in {worker}" if place and worker else place or worker


def worker_whereabouts(pid: int, log: Path, code: Path) -> str:
    """Return the same of the first of its worker processes that stands in the user's code."""
    places = (_whereabouts(one, log, code) for one in _workers(pid))
    return next(filter(None, places), "")


def _workers(pid: int) -> list[int]:
    """Return some processes below one; without those that multiprocessing starts for itself."""
    with suppress(psutil.Error):
        children = (child.pid for child in psutil.Process(pid).children(recursive=True))
        return list(islice(filter(_catches_signal, children), _MOST_WORKERS))
    return []


def _whereabouts(pid: int, log: Path, code: Path) -> str:
    if _catches_signal(pid):
        with suppress(OSError):  # it has ended, or the log is gone
            return next(filter(None, _places(pid, log, code)), "")
    return ""


def _places(pid: int, log: Path, code: Path) -> Iterator[str]:
    """Ask a process, and yield where each thread stands as often as more of the answer has come."""
    before, text = log.stat().st_size, ""
    os.kill(pid, signal.SIGUSR1)
    end = latest = monotonic() + _WAIT_S
    while (now := monotonic()) < end:
        more = _text_from(log, before)
        if more != text:
            text, end = more, min(latest, now + _QUIET_S)
            yield from (_place_in(stack, code) for stack in _THREAD.split(text))
        sleep(_POLL_S)


def _place_in(stack: str, code: Path) -> str:
    """Return where the user's code stands in a stack, whose innermost frame is the first."""
    inner: list[str] = []
    for found in _FRAME.finditer(stack):
        file, name = _unescaped(found["file"]), _unescaped(found["name"])
        path = Path(file)
        is_other = "site-packages" in path.parts or path.is_relative_to(_OURS)
        if path.is_relative_to(code) and not is_other:
            return _place_text(f"{shown(path)}, line {found['line']}, in {name}", inner)
        inner.append(file)
    return ""


def _unescaped(text: str) -> str:
    """Return a text with the characters that faulthandler, which writes ASCII, has escaped."""
    return _ESCAPED.sub(lambda found: chr(int(next(filter(None, found.groups())), 16)), text)


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
