import random
import socket
from contextlib import suppress

import pytest


@pytest.fixture
def hosts(tmp_path):
    """Writes a file of workers on 127.0.0.1, on ports that are free."""

    def written(workers=2, **waits):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
        lines = [f"workers = {addresses}", *(f"{name} = {value}" for name, value in waits.items())]
        path = tmp_path / "hosts.toml"
        path.write_text("\n".join(lines))
        return path

    return written


def free_ports(count):
    """Ports below those that the system gives to connections."""
    found = []
    while len(found) < count:
        port = random.randrange(10_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
