"""The bytes that this process has exchanged over the network, from the kernel's own counters."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# tcpi_bytes_acked and tcpi_bytes_received of struct tcp_info, <linux/tcp.h>
_COUNTERS = struct.Struct("=120x Q Q")


class Traffic(NamedTuple):
    """Bytes over TCP connections, as they were on the wire: compressed.

    Attributes:
        received: that came.
        sent: that went out and were acknowledged.
    """

    received: int
    sent: int

    def since(self, before: Traffic) -> Traffic:
        """What has come and gone after an earlier reading; a connection may have ended since."""
        received, sent = self.received - before.received, self.sent - before.sent
        return Traffic(max(0, received), max(0, sent))


def traffic() -> Traffic | None:
    """What has crossed the TCP connections that are open now; None if the kernel does not say.

    Of this process alone, whatever else uses the network.
    """
    counts: list[Traffic] = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            is_socket = str(link.readlink()).startswith("socket:")
            if is_socket and (count := _of_socket(int(link.name))) is not None:
                counts.append(count)
    if not counts:
        return None
    return Traffic(sum(one.received for one in counts), sum(one.sent for one in counts))


def _of_socket(number: int) -> Traffic | None:
    """What has crossed one socket; None if it is no TCP connection."""
    with socket.socket(fileno=os.dup(number)) as one:
        if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM:
            return None
        info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < _COUNTERS.size:
        return None
    sent, received = _COUNTERS.unpack_from(info)
    return Traffic(received, sent)
