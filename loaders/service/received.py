"""The bytes that this process has received over the network, from the kernel's own counters."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

_RECEIVED = struct.Struct("=128x Q")  # tcpi_bytes_received of struct tcp_info, <linux/tcp.h>


def received_bytes() -> int | None:
    """What has come over the TCP connections that are open now; None if the kernel does not say.

    Of this process alone, whatever else uses the network, and as it was on the wire: compressed.
    """
    total, is_known = 0, False
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(link.readlink()).startswith("socket:"):
                count = _received(int(link.name))
                is_known = is_known or count is not None
                total += count or 0
    return total if is_known else None


def _received(number: int) -> int | None:
    """What has come over one socket; None if it is no TCP connection."""
    with socket.socket(fileno=os.dup(number)) as one:
        if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM:
            return None
        info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(_RECEIVED.unpack_from(info)[0]) if len(info) >= _RECEIVED.size else None
