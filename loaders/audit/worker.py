"""The processes of an audit: one that has imported all decoders, and one fork of it per core.

Started by `audit.pool`. A decoder that crashes, or is killed because it takes too long, costs one
fork.
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import socket
import sys
import traceback
import warnings
from concurrent.futures import wait
from typing import Any

from feedbench.loaders.address import is_remote, stamp_of, version_of
from feedbench.loaders.audit.memory import TOO_LITTLE, TooLittleMemory, limit_memory
from feedbench.loaders.audit.messages import (
    MAX_BYTES,
    File,
    beginning_as_bytes,
    files_of,
    results_as_bytes,
)
from feedbench.loaders.audit.probe import ProbeLimits, probe
from feedbench.loaders.remote.ahead import ReadAhead
from feedbench.loaders.remote.read import DEPTH, Fetching

_FETCHED_BYTES = 32 << 20  # of an object that is fetched beside others, before it is probed
_POLL_S = 2.0  # how often an idle process checks that the one that forked it is alive


def main() -> None:
    """Serve until the control socket is closed. Arguments: limits, control and slots' sockets."""
    limits = ProbeLimits(**json.loads(sys.argv[1]))
    control, *slots = (socket.socket(fileno=int(number)) for number in sys.argv[2:])
    _load_decoders()
    _Forks(control, slots, limits).serve()


def _load_decoders() -> None:
    from PIL import Image

    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # the limit here is the probe's own
    warnings.simplefilter("ignore")
    # Imported, not used: its threads start with the first operation, in each fork separately.
    import tensorflow  # noqa: F401


class _Forks:
    """One process per slot, forked again when it dies."""

    def __init__(
        self, control: socket.socket, slots: list[socket.socket], limits: ProbeLimits
    ) -> None:
        self._control = control
        self._slots = slots
        self._limits = limits
        self._pids: dict[int, int] = {}
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        for slot in range(len(self._slots)):
            self._fork(slot)
        self._send({"event": "ready"})
        while True:
            sources: list[Any] = [self._control, self._woken]
            ready, _, _ = select.select(sources, [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._control in ready:
                message = self._control.recv(MAX_BYTES)
                if not message:
                    break
                for line in message.splitlines():  # of several that were late at once
                    self._kill(json.loads(line)["kill"])
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)

    def _fork(self, slot: int) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._pids[pid] = slot
            return
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            _work(self._slots[slot], parent, self._limits)
            os._exit(0)
        except TooLittleMemory:
            os._exit(TOO_LITTLE)
        except BaseException:  # must not return into the loop of the parent
            traceback.print_exc()
            os._exit(1)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            slot = self._pids.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            self._send({"event": "died", "slot": slot, "process": pid, "status": code})
            self._fork(slot)

    def _kill(self, pid: int) -> None:
        if pid in self._pids:  # else it has died by itself
            os.kill(pid, signal.SIGKILL)

    def _send(self, message: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")


def _work(slot: socket.socket, parent: int, limits: ProbeLimits) -> None:
    """Probe groups of files one by one, on one core."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _warm_up()
    limit_memory(limits)
    slot.settimeout(_POLL_S)
    ahead = ReadAhead(DEPTH)
    while os.getppid() == parent:
        try:
            files = files_of(slot.recv(MAX_BYTES))
        except TimeoutError:
            continue
        if any(_is_fetched(path) for _, path in files):
            files = _fetched(files, ahead)
            limit_memory(limits)  # the threads that fetch have taken of it
        slot.send(beginning_as_bytes(os.getpid()))  # the time limit begins
        slot.send(results_as_bytes((number, probe(path, limits)) for number, path in files))


def _is_fetched(path: bytes) -> bool:
    """Whether a file is read before it is probed: a network may be slow without its fault."""
    is_listed = is_remote(path) and version_of(path) is not None
    return is_listed and stamp_of(path)[0] <= _FETCHED_BYTES


def _fetched(files: list[File], ahead: ReadAhead) -> list[File]:
    """The same files, with the objects among them read, or failed."""
    paths = [path for _, path in files if _is_fetched(path)]
    fetching = dict(zip(paths, ahead.start(paths), strict=True))
    wait([one.future for one in fetching.values() if isinstance(one, Fetching)])
    return [(number, fetching.get(path, path)) for number, path in files]


def _warm_up() -> None:
    """Decode one image: the cost of the first must not count against a file's time limit."""
    import tensorflow as tf
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (1, 1)).save(data, "PNG")
    tf.io.decode_image(data.getvalue(), channels=3)


if __name__ == "__main__":
    main()
