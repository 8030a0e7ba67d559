"""Ends the connections of this process to hosts that have vanished.

A host whose power or network fails does not close its connections. TensorFlow's dispatcher sends
each new job to all workers before it answers. It would wait for a worker on such a host until the
kernel gives up, after 15 minutes; until then no other worker gets the job either. gRPC limits this
silence for its servers, but not for its clients.

The limit also ends a connection whose other end reads nothing, such as a trainer that is stopped in
the middle of a batch. So the servers keep their own limit, which is longer.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

SILENCE_S = 10.0
_DESCRIPTORS = Path("/proc/self/fd")


def limit_silence(seconds: float = SILENCE_S) -> int:
    """Let the kernel end each open TCP connection on which sent data is not acknowledged in time.

    Connections that already have a limit keep it. Nothing changes on systems other than Linux, or
    while this process cannot open another file.

    Returns:
        The number of connections that got the limit.
    """
    try:
        descriptors = [int(one.name) for one in _DESCRIPTORS.iterdir()]
    except OSError:
        return 0
    return sum(_limited(one, seconds) for one in descriptors)


def _limited(descriptor: int, seconds: float) -> bool:
    with suppress(OSError):  # closed meanwhile, or a kind that has no such limit
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        with _shared(descriptor) as connection:
            limit = socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT
            if connection.getsockopt(*limit):
                return False
            connection.setsockopt(*limit, round(1000 * seconds))
        return True
    return False


def _shared(descriptor: int) -> socket.socket:
    """The socket of a descriptor; closing it leaves the descriptor open."""
    duplicate = os.dup(descriptor)
    try:
        return socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise
