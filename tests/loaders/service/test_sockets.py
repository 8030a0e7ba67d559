"""Connections to a host that has vanished are given up after seconds, others are left alone."""

import resource
import socket
import threading

from feedbench.loaders.service.sockets import limit_silence


def limit_of(connection):
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_each_open_connection_gets_the_limit_and_stays_open():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        assert limit_silence(7) >= 3
        assert limit_of(client) == limit_of(accepted) == 7000
        client.sendall(b"still open")
        assert accepted.recv(10) == b"still open"


def test_a_limit_of_its_own_is_kept():
    # As of TensorFlow's servers: a shorter one would end the connection of a stopped trainer.
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
        with (
            socket.create_connection(server.getsockname()) as client,
            server.accept()[0] as accepted,
        ):
            limit_silence(7)
            assert limit_of(server) == limit_of(accepted) == 20_000
            assert limit_of(client) == 7000


def test_what_is_no_tcp_connection_is_left_as_it_is(tmp_path):
    one, other = socket.socketpair()
    with one, other, (tmp_path / "file").open("w") as file:
        limit_silence()
        one.sendall(b"x")
        assert other.recv(1) == b"x"
        file.write("x")


def test_no_descriptor_is_left(tmp_path):
    from feedbench.loaders.service.sockets import _DESCRIPTORS

    with (tmp_path / "file").open("w"), socket.socket(), socket.socket(socket.AF_UNIX):
        before = len(list(_DESCRIPTORS.iterdir()))
        threads = [threading.Thread(target=limit_silence) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(_DESCRIPTORS.iterdir())) == before


def test_a_server_with_all_the_files_open_that_it_may_have_goes_on():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as last:
        lowest_free = last.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        assert limit_silence() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
