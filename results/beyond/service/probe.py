"""Round trip and bandwidth of a link: probe.py serve ADDRESS, then probe.py ask ADDRESS."""

import socket
import sys
from time import monotonic, sleep

_PORT, _BYTES = 5049, 100_000_000


def serve(address: str) -> None:
    """Accept one connection and send bytes over it."""
    with socket.create_server((address, _PORT)) as server:
        connection, _ = server.accept()
        with connection:
            connection.sendall(bytes(_BYTES))


def connected(address: str) -> tuple[socket.socket, float]:
    """A connection, and the seconds that it took: one round trip."""
    while True:
        begin = monotonic()
        try:
            return socket.create_connection((address, _PORT)), monotonic() - begin
        except OSError:
            sleep(0.2)


def ask(address: str) -> None:
    """Receive them, and print how long it took."""
    connection, round_trip_s = connected(address)
    begin = monotonic()
    while connection.recv(1 << 20):
        pass
    rate = _BYTES / (monotonic() - begin)
    sys.stdout.write(f"round trip {1e3 * round_trip_s:.1f} ms, {rate / 1e6:.0f} MB/s\n")


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](sys.argv[2])
