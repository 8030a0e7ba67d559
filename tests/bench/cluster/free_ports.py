"""Ports that a test may use."""

import random
import socket
from contextlib import suppress


def free_ports(count):
    """Ports below those that the system gives to connections."""
    found = []
    while len(found) < count:
        port = random.randrange(10_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
