"""The bytes that crossed the network are those of this process's own connections."""

import socket
from contextlib import closing

from feedbench.loaders.service.traffic import Traffic, traffic


def test_what_arrives_and_what_goes_out_is_counted():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near, far:
            before = traffic()
            far.sendall(b"x" * 12_345)
            left = 12_345
            while left:
                left -= len(near.recv(left))
            crossed = traffic().since(before)
    assert crossed == Traffic(received=12_345, sent=12_345)  # both ends are of this process


def test_a_connection_that_has_ended_gives_no_negative_count():
    assert Traffic(3, 5).since(Traffic(10, 4)) == Traffic(0, 1)
