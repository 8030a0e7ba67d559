"""The bytes that came over the network are those of this process's own connections."""

import socket
from contextlib import closing

from feedbench.loaders.service.received import received_bytes


def test_what_arrives_is_counted():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near, far:
            before = received_bytes()
            far.sendall(b"x" * 12_345)
            left = 12_345
            while left:
                left -= len(near.recv(left))
            assert received_bytes() - before == 12_345
