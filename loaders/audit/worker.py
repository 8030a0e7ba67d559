"""The processes of an audit: one that has all decoders loaded, and forks one a core from itself.

Started by `audit_pool`. A decoder that crashes or is ended for taking too long costs one fork.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import select
import signal
import socket
import sys
import traceback
import warnings
from typing import Any

import psutil

from feedbench.loaders.audit.probe import MESSAGE_BYTES, Limits, probe

_BYTES_A_PIXEL = 16  # the file, the decoder's own buffers, and what it gives
_LEAST_SPARE_BYTES = 2 << 30
_LOOK_S = 2.0  # how often an idle process looks whether the one that forked it still lives


def main() -> None:
    """Serve until the control socket is closed. Arguments: limits, control and slots' sockets."""
    limits = Limits(**json.loads(sys.argv[1]))
    control, *slots = (socket.socket(fileno=int(number)) for number in sys.argv[2:])
    _load_decoders()
    _Forks(control, slots, limits).serve()


def _load_decoders() -> None:
    from PIL import Image

    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # the limit here is the probe's own
    warnings.simplefilter("ignore")
    # Imported, not used: its threads begin with the first operation, in each fork by itself.
    import tensorflow  # noqa: F401


class _Forks:
    """One process for each slot, forked anew when it dies."""

    def __init__(self, control: socket.socket, slots: list[socket.socket], limits: Limits) -> None:
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
        self._tell({"event": "ready"})
        while True:
            sources: list[Any] = [self._control, self._woken]
            ready, _, _ = select.select(sources, [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._bury()
            if self._control in ready:
                order = self._control.recv(MESSAGE_BYTES)
                if not order:
                    break
                self._kill(json.loads(order)["kill"])
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)

    def _fork(self, slot: int) -> None:
        master = os.getpid()
        pid = os.fork()
        if pid:
            self._pids[pid] = slot
            return
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            _work(self._slots[slot], master, self._limits)
            os._exit(0)
        except BaseException:  # never back into the loop of the process that forked it
            traceback.print_exc()
            os._exit(1)

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            slot = self._pids.pop(pid)
            self._tell({"event": "died", "slot": slot, "status": os.waitstatus_to_exitcode(status)})
            self._fork(slot)

    def _kill(self, slot: int) -> None:
        for pid, own in self._pids.items():
            if own == slot:
                os.kill(pid, signal.SIGKILL)

    def _tell(self, message: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")


def _work(slot: socket.socket, master: int, limits: Limits) -> None:
    """Probe groups of files, one file after the other, on one core."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _warm_up()
    _limit_memory(limits)
    slot.send(pickle.dumps([]))
    slot.settimeout(_LOOK_S)
    while os.getppid() == master:
        try:
            files = pickle.loads(slot.recv(MESSAGE_BYTES))
        except TimeoutError:
            continue
        slot.send(pickle.dumps([(number, probe(path, limits)) for number, path in files]))


def _warm_up() -> None:
    """What a first image costs is not charged to one."""
    import tensorflow as tf
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (1, 1)).save(data, "PNG")
    tf.io.decode_image(data.getvalue(), channels=3)


def _limit_memory(limits: Limits) -> None:
    """Let a decoder that asks for more than any image needs fail, before the machine does."""
    spare = max(_LEAST_SPARE_BYTES, limits.pixels * _BYTES_A_PIXEL)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    held = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (held + spare, most))


if __name__ == "__main__":
    main()
