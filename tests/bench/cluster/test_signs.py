"""Signs of life reach each worker, whatever another one is sent meanwhile."""

import socket
import threading

from feedbench.bench.cluster.hosts import Cluster, Waits
from feedbench.bench.cluster.session import Session
from feedbench.bench.cluster.wire import Wire

SILENCE_S = 20.0
LARGE = bytes(64 << 20)  # more than the system takes at once


def _wires():
    """Both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = socket.create_connection(server.getsockname())
        return Wire(server.accept()[0]), Wire(other)


def test_a_worker_whose_network_is_slow_keeps_signs_of_life_from_no_other():
    addresses = tuple(f"10.0.0.{number}:4711" for number in (1, 2, 3))
    cluster = Cluster(addresses, 0, Waits(silence_s=SILENCE_S), "hosts.toml")
    (to_slow, slow), (to_other, other) = _wires(), _wires()
    with Session(cluster, {1: to_slow, 2: to_other}, lambda line, code: None) as session:
        weights = threading.Thread(target=session.tell, args=("state", {}, LARGE))
        weights.start()  # before the first sign
        try:
            assert other.receive(0.8 * SILENCE_S).kind == "alive"
        finally:
            slow.close()
        weights.join()
    other.close()
