"""The process that holds the imports: it forks, and a fork becomes what a new process would be.

See `preloaded.py`, from whose side a `Zygote` is used.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import io
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import threading
import time
import types
from contextlib import suppress
from typing import Any

from preloaded import HANDLED, MAX_BYTES, NAME, Zygote, install

_IMPORTS = ("tensorflow", "keras", "scipy.stats", "feedbench.bench.trials.worker")
_COMMAND_LINE = "feedbench.bench.cli"
_PR_SET_NAME = 15
_LIBC = ctypes.CDLL(None)


def main(end: int) -> None:
    """Import, and serve until the other end is closed; in a fork, run its program and return."""
    given, libraries = set(os.environ), _Libraries()
    for name in _IMPORTS:
        with suppress(ImportError):
            __import__(name)
    libraries.keep()
    gc.freeze()  # or each fork would copy the pages of all imports as it collects garbage
    channel = socket.socket(fileno=end)
    while True:
        near, (job, streams) = None, _serve(channel)
        if _is_child(job):
            break  # it starts none itself
        near, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork():
            channel.close()
            break
        near.close()
        _close([job["asker"], *streams])
    _LIBC.prctl(_PR_SET_NAME, b"python")
    os.write(job["asker"], str(os.getpid()).encode())  # who asked may look for it from now on
    os.close(job["asker"])
    added = {name: value for name, value in os.environ.items() if name not in given}
    _become_new({**job, "environment": {**added, **job["environment"]}}, streams)
    if near is not None:
        install(Zygote(near))
    _run(job)
    if _is_child(job):
        _end()


def _is_child(job: dict[str, Any]) -> bool:
    """Whether a job is that of a child of a command."""
    return bool(job.get("module", _COMMAND_LINE) != _COMMAND_LINE)


class _Libraries:
    """Modules that a fork does not clear as it ends, which took longer than many programs.

    Python clears those that `sys.modules` lists. The rest of its end takes place.
    """

    def __init__(self) -> None:
        """Note what is imported already."""
        self._before = set(sys.modules)
        self._kept: list[str] = []
        atexit.register(self._unlist)  # the first to be registered is the last to be called

    def keep(self) -> None:
        """Keep what was imported since, but for Feedbench itself."""
        added = [name for name in sys.modules if name not in self._before]
        self._kept = [name for name in added if name.partition(".")[0] != "feedbench"]
        for name in self._kept:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(sys.modules[name]))

    def _unlist(self) -> None:
        for name in self._kept:
            sys.modules.pop(name, None)


def _end() -> None:
    """End as a process does whose program is over, but for the memory, which goes with it."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.PyDLL(None).exit(0)  # with Python's lock, so that no other thread goes on


def _serve(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each job; return, in the fork, the job and its streams."""
    _LIBC.prctl(_PR_SET_NAME, NAME.encode())
    # A Ctrl-C comes to all processes of a terminal. Blocked, as a signal that comes to a fork
    # before it has its handlers waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    while True:
        message, streams, _, _ = socket.recv_fds(channel, MAX_BYTES, 253)
        if not message:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if not between:
            between = os.getpid()
            if os.fork():
                os._exit(0)
            while os.getppid() == between:
                time.sleep(0.001)
            job = json.loads(message)
            if job["new_session"]:
                os.setsid()
            os.close(reading)
            channel.close()
            return {**job, "asker": writing}, streams
        os.close(writing)
        os.waitpid(between, 0)
        channel.send(os.read(reading, 64))
        _close([reading, *streams])


def _become_new(job: dict[str, Any], streams: list[int]) -> None:
    """Take over streams, environment, folder, cores and signals of a job."""
    targets = [0, 1, 2, *job["kept"]]
    apart = [fcntl.fcntl(stream, fcntl.F_DUPFD, max(targets) + 1) for stream in streams]
    _close(streams)
    for stream, target in zip(apart, targets, strict=True):
        os.dup2(stream, target)
    _close(apart)
    _open_streams(job["unbuffered"] or bool(job["environment"].get("PYTHONUNBUFFERED")))
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["cwd"])
    os.sched_setaffinity(0, job["cores"])
    tempfile.tempdir = None
    for number in HANDLED:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in job["ignored"] else usual)
    signal.pthread_sigmask(signal.SIG_SETMASK, job["masked"])


def _open_streams(unbuffered: bool) -> None:
    """Replace Python's streams, which know what kind of file the old ones were."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old, raw = getattr(sys, name), io.FileIO(number, "w" if number else "r", closefd=False)
        if not (number and unbuffered):
            raw = io.BufferedWriter(raw) if number else io.BufferedReader(raw)
        new = io.TextIOWrapper(
            raw,
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=not unbuffered and (number == 2 or os.isatty(number)),
            write_through=unbuffered,
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _close(numbers: list[int]) -> None:
    for number in numbers:
        os.close(number)


def _run(job: dict[str, Any]) -> None:
    sys.argv = job["argv"]
    first = job["cwd"] if "module" in job else os.path.dirname(job.get("script", ""))  # noqa: PTH120
    if not job["safe_path"]:
        sys.path.insert(0, first)
    if "module" in job:
        sys.modules.pop(job["module"], None)  # as a program, it is imported for the first time
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
    elif "script" in job:
        runpy.run_path(job["script"], run_name="__main__")
    else:
        program = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(job["code"], "<string>", "exec"), program.__dict__)
