"""Runs programs of the tests in forks of a process that has imported TensorFlow.

The import takes 3 s of a core, and hundreds of the processes that tests start need it. Once
installed, `subprocess.Popen` has programs that use Feedbench run by a fork of a process that holds
the imports, the zygote. It has used none of them: TensorFlow starts its threads with the first
operation, in each fork separately. Started from scratch are: what runs under `spawned`, programs
that look at their own modules or memory, and what a fork cannot imitate, such as other users.

The process that asks becomes the parent of the fork, as if it had started it: the zygote forks
twice, the process between the two exits, and the process that asks adopts orphans.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

NAME = "preloaded"  # of a zygote, as psutil and ps show it
# Libraries read these variables when they are imported: other values need another zygote.
_READ_AT_IMPORT = ("PYTHON", "LD_", "LC_", "LANG", "KERAS_", "TF_", "OMP_", "OPENBLAS_", "MPL")
_READ_LATER = {"TF_FORCE_GPU_ALLOW_GROWTH"}
_DEFAULTS = {"KERAS_BACKEND": "tensorflow"}
_LOOKS_AT_ITSELF = ("sys.modules", "/proc/self")
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAX_BYTES = 1 << 18  # of a job
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)
_spawn = subprocess.Popen


class Popen(_spawn):
    """`subprocess.Popen`, which has a program forked where it can."""

    def _execute_child(self, *given: Any) -> None:
        asked = inspect.signature(super()._execute_child).bind(*given).arguments
        pid = _fork(asked)
        if pid is None:
            super()._execute_child(*given)
            return
        self.pid, self._child_created = pid, True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in pipes))


def install(zygote: Zygote | None = None) -> None:
    """Have `subprocess.Popen` fork programs from now on, in this process.

    Args:
        zygote: for the environment of this process; None starts it when it is needed.
    """
    subprocess.Popen = Popen
    _own[:] = [_key(os.environ)]
    if zygote is not None:
        _zygotes[_own[0]] = zygote


@contextmanager
def spawned() -> Iterator[None]:
    """Start all processes from scratch in the body, as users do."""
    before, subprocess.Popen = subprocess.Popen, _spawn
    try:
        yield
    finally:
        subprocess.Popen = before


def close() -> None:
    """End the zygotes of this process."""
    while _zygotes:
        _zygotes.popitem()[1].close()


def children_of(pid: int) -> list[psutil.Process]:
    """Return all processes below one, but for zygotes."""
    below = psutil.Process(pid).children(recursive=True)
    return [process for process in below if process.name() != NAME]


class Zygote:
    """A process that holds the imports, seen from one that asks it for forks."""

    def __init__(self, end: socket.socket, process: Any = None) -> None:
        self._end = end
        self._process = process
        self._lock = threading.Lock()
        self._works = True

    def fork(self, job: dict[str, Any], streams: list[int]) -> int | None:
        """Return the PID of a new child of this process that does a job; None if it failed."""
        with self._lock:
            if not self._works:
                return None
            self._works = False  # unless the exchange comes to its end
            with _inheriting_orphans(), suppress(OSError):
                socket.send_fds(self._end, [json.dumps(job).encode()], streams)
                answer = self._end.recv(MAX_BYTES)
                self._works = bool(answer)
                return int(answer) if answer else None
        return None

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)  # a fork of this process may hold this end too
        self._end.close()
        if self._process is not None:
            self._process.wait()


_zygotes: dict[str, Zygote] = {}
_asked: Counter[str] = Counter()
_own: list[str] = []  # key of the environment of this process when it began to fork


def _fork(asked: Mapping[str, Any]) -> int | None:
    """Return the PID of a fork that runs a program; None if it must be started from scratch."""
    unusual = {"preexec_fn": None, "close_fds": True, "shell": False, "uid": None, "gid": None}
    unusual |= {"gids": None, "umask": -1, "process_group": -1}
    program = _program(asked["args"])
    if program is None or any(asked[name] != usual for name, usual in unusual.items()):
        return None
    folder = os.path.abspath(asked["cwd"] or ".")  # noqa: PTH100
    if not os.path.isdir(folder):  # noqa: PTH112
        return None
    given = os.environ if asked["env"] is None else asked["env"]
    environment = {os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}
    zygote = _zygote_for(environment)
    if zygote is None:
        return None
    job = program | {
        "cwd": folder,
        "environment": environment,
        "new_session": asked["start_new_session"],
        "kept": [int(number) for number in asked["pass_fds"]],
        "masked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "ignored": [n for n in HANDLED if signal.getsignal(n) is signal.SIG_IGN],
        "cores": sorted(os.sched_getaffinity(0)),
    }
    own = enumerate((asked["p2cread"], asked["c2pwrite"], asked["errwrite"]))
    streams = [number if stream == -1 else stream for number, stream in own]
    return zygote.fork(job, [*streams, *job["kept"]])


def _program(arguments: Any) -> dict[str, Any] | None:
    """Return what a command line has Python run, if a fork can run it."""
    if not isinstance(arguments, list | tuple) or arguments[0] != sys.executable:
        return None
    words = [os.fsdecode(word) for word in arguments[1:]]
    options = []
    while words and words[0] in ("-P", "-u"):
        options.append(words.pop(0))
    program = {"safe_path": "-P" in options, "unbuffered": "-u" in options}
    match words:
        case ["-m", module, *rest] if module.startswith("feedbench."):
            return {**program, "module": module, "argv": [module, *rest]}
        case ["-c", code, *rest] if _is_ordinary(code):
            return {**program, "code": code, "argv": ["-c", *rest]}
        case [script, *_] if script.endswith(".py") and _is_ordinary(_text(script)):
            return {**program, "script": script, "argv": words}
    return None


def _is_ordinary(code: str) -> bool:
    return "feedbench" in code and not any(words in code for words in _LOOKS_AT_ITSELF)


def _text(script: str) -> str:
    try:
        return Path(script).read_text()
    except (OSError, ValueError):
        return ""  # Python itself says what is wrong with it


def _zygote_for(environment: Mapping[str, str]) -> Zygote | None:
    """Return the zygote of an environment like this one, which starts when it is needed again.

    There is none for other backends of Keras: some start threads when they are imported.
    """
    if environment.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        return None
    key = _key(environment)
    _asked[key] += 1
    if key not in _zygotes and (_asked[key] > 1 or key in _own):
        _zygotes[key] = _start_zygote(environment)
    return _zygotes.get(key)


def _key(environment: Mapping[str, str]) -> str:
    read = {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_AT_IMPORT)
        and name not in _READ_LATER
        and value != _DEFAULTS.get(name)
    }
    return json.dumps(read, sort_keys=True)


_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import zygote
del sys.path[0]
zygote.main(int(sys.argv[2]))
"""


def _start_zygote(environment: Mapping[str, str]) -> Zygote:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-P", "-c", _PROGRAM, str(Path(__file__).parent), str(far.fileno())]
    nothing = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with far:
        process = _spawn(command, pass_fds=[far.fileno()], env=dict(environment), **nothing)
    return Zygote(near, process)


@contextmanager
def _inheriting_orphans() -> Iterator[None]:
    """Become the parent of processes whose own parent exits in the body."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0)
