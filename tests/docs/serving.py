"""Runs the commands of a shell from the process of the tests, which starts them faster.

A shell that started `feedbench` itself would have it import TensorFlow each time.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

_MAX_BYTES = 1 << 18


class Server:
    """A socket for `asking.py`; its commands run until they end, whatever becomes of the asker.

    Attributes:
        path: of the socket.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()  # a name of few letters, as sockets need it
        self.path = Path(self._folder.name) / "s"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(str(self.path))
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no further commands."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                asker, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=_run, args=(asker,), daemon=True).start()


def _run(asker: socket.socket) -> None:
    with asker:
        message, streams, _, _ = socket.recv_fds(asker, _MAX_BYTES, 3)
        try:
            given, printed, errors = streams
            done = subprocess.run(
                **json.loads(message), stdin=given, stdout=printed, stderr=errors, check=False
            )
        finally:
            for stream in streams:
                os.close(stream)
        asker.send(str(done.returncode).encode())
