"""The workers meet at the chief's address, and what differs is named."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from feedbench.bench.cluster.difference import first_difference
from feedbench.bench.cluster.hosts import cluster_of, split
from feedbench.bench.cluster.meeting import meet
from feedbench.bench.cluster.wire import Message, Wire
from feedbench.bench.errors import PlanError

FACTS = {"keras": "3.1", "data": {"rows": 10, "digest": "ab"}}


def _meet(path, worker, facts=FACTS, told=None):
    return meet(cluster_of(path, worker), facts, told or {}, lambda line: None, lambda: None)


def _all(path, facts):
    """What each worker returns or raises, in the order of the workers."""
    with ThreadPoolExecutor(len(facts)) as pool:
        jobs = [
            pool.submit(_meet, path, worker, one, {"step": 7} if worker == 0 else None)
            for worker, one in enumerate(facts)
        ]
    return [job.exception() or job.result() for job in jobs]


def _close(results):
    for wires, _ in results:
        for wire in wires.values():
            wire.close()


def test_all_workers_meet_and_know_what_the_chief_tells(hosts):
    results = _all(hosts(3), [FACTS] * 3)
    assert [told for _, told in results] == [{"step": 7}] * 3
    assert [sorted(wires) for wires, _ in results] == [[1, 2], [0], [0]]
    _close(results)


def test_the_port_is_free_again_although_the_connections_stay(hosts):
    path = hosts()
    results = _all(path, [FACTS] * 2)
    chief = cluster_of(path, 0)
    with socket.create_server(("", split(chief.addresses[0])[1])):
        pass
    _close(results)


def test_a_worker_that_differs_is_refused_with_the_first_difference(hosts):
    other = {"keras": "3.1", "data": {"rows": 11, "digest": "cd"}}
    path = hosts(join_s=20)
    refused = _all(path, [FACTS, other])
    assert all(isinstance(error, PlanError) for error in refused)
    line = str(refused[0])
    assert line == str(refused[1])
    assert "worker 1 (127.0.0.1:" in line
    assert "differs from the chief: data: rows is 11, not 10; start all workers" in line


def test_other_programs_that_connect_are_ignored(hosts):
    path = hosts()
    address = split(cluster_of(path, 0).addresses[0])

    def disturb():
        with _connected(address) as stray:
            stray.sendall(b"GET / HTTP/1.1\r\n\r\n")

    thread = threading.Thread(target=disturb)
    thread.start()
    with ThreadPoolExecutor(2) as pool:
        chief = pool.submit(_meet, path, 0)
        thread.join()
        worker = pool.submit(_meet, path, 1)
        _close([chief.result(), worker.result()])


def test_a_worker_that_never_comes_is_named(hosts):
    with pytest.raises(PlanError, match=r"worker 1 \(127.0.0.1:\d+\) has not come within 1 s"):
        _meet(hosts(join_s=1), 0)


def test_a_chief_that_never_comes_is_named(hosts):
    with pytest.raises(PlanError, match=r"no chief answers at 127.0.0.1:\d+ within 1 s"):
        _meet(hosts(join_s=1), 1)


def test_a_chief_that_is_killed_while_it_waits_is_named(hosts):
    path = hosts(join_s=20)
    with (
        socket.create_server(split(cluster_of(path, 0).addresses[0])) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        worker = pool.submit(_meet, path, 1)
        connection, _ = server.accept()
        with connection:
            Wire(connection).receive(20)
        with pytest.raises(PlanError, match=r"the chief .* ended before all workers had come"):
            worker.result()


def test_a_worker_that_is_killed_while_others_are_waited_for_can_be_started_again(hosts):
    path = hosts(3, join_s=20)
    address = split(cluster_of(path, 0).addresses[0])
    with ThreadPoolExecutor(3) as pool:
        chief = pool.submit(_meet, path, 0)
        killed = Wire(_connected(address))
        killed.send(Message("hello", {"worker": 1, "facts": FACTS}))
        killed.close()
        last = Wire(_connected(address))
        last.send(Message("hello", {"worker": 2, "facts": FACTS}))
        again = pool.submit(_meet, path, 1)
        _answer_the_roll(last)
        assert last.receive(20).kind == "welcome"
        results = [job.result() for job in (chief, again)]
        last.close()
    assert sorted(results[0][0]) == [1, 2]
    _close(results)


def _answer_the_roll(wire):
    assert wire.receive(20).kind == "roll call"
    wire.send(Message("here"))


@pytest.mark.parametrize("closes", [True, False], ids=["killed", "vanished with its machine"])
def test_a_worker_that_ends_before_the_last_one_comes_is_waited_for(hosts, closes):
    path = hosts(3, join_s=20, silence_s=1)
    address = split(cluster_of(path, 0).addresses[0])
    notes = []
    with ThreadPoolExecutor(3) as pool:
        chief = pool.submit(meet, cluster_of(path, 0), FACTS, {}, notes.append, lambda: None)
        first = Wire(_connected(address))
        first.send(Message("hello", {"worker": 1, "facts": FACTS}))
        last = pool.submit(_meet, path, 2)
        assert first.receive(20).kind == "roll call"
        if closes:
            first.close()
        while len(notes) < 2:
            assert not chief.done(), chief.result()
            threading.Event().wait(0.05)
        again = pool.submit(_meet, path, 1)
        results = [job.result() for job in (chief, again, last)]
    first.close()
    assert "worker 1 (127.0.0.1:" in notes[1]
    assert "has ended since; waiting for it" in notes[1]
    assert sorted(results[0][0]) == [1, 2]
    _close(results)


def test_a_worker_whose_machine_vanished_can_be_started_again(hosts):
    path = hosts(3, join_s=20, silence_s=1)
    address = split(cluster_of(path, 0).addresses[0])
    with ThreadPoolExecutor(3) as pool:
        chief = pool.submit(_meet, path, 0)
        vanished = Wire(_connected(address))
        vanished.send(Message("hello", {"worker": 1, "facts": FACTS}))
        results = [job.result() for job in (chief, *(pool.submit(_meet, path, n) for n in (1, 2)))]
    vanished.close()
    _close(results)


def _connected(address):
    """A connection, once somebody listens."""
    for _ in range(1000):
        try:
            return socket.create_connection(address, 1)
        except OSError:
            threading.Event().wait(0.05)
    raise AssertionError("nobody listens")


def test_another_program_at_the_chiefs_address_is_recognized(hosts):
    path = hosts(join_s=20)
    with socket.create_server(split(cluster_of(path, 0).addresses[0])) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
                connection.recv(1 << 16)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(PlanError, match="answers, but not as a chief"):
            _meet(path, 1)
        thread.join()


def test_a_port_in_use_is_named(hosts):
    path = hosts()
    with (
        socket.create_server(("", split(cluster_of(path, 1).addresses[1])[1])),
        pytest.raises(PlanError, match=r"port \d+ of worker 1 .* is in use"),
    ):
        _meet(path, 1)


def test_two_workers_with_one_number_are_refused(hosts):
    path = hosts(3, join_s=20)
    addresses = cluster_of(path, 1).addresses
    other = path.with_name("other.toml")  # so that both can listen
    last = int(addresses[2].rpartition(":")[2])
    other.write_text(f"workers = ['{addresses[0]}', '127.0.0.1:{last}', '{addresses[1]}']")
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(_meet, *one) for one in ((path, 0), (path, 1), (other, 1))]
    lines = {str(job.exception()) for job in jobs}
    assert any("came twice; give each worker its own --worker" in line for line in lines)


@pytest.mark.parametrize(
    ("chief", "other", "difference"),
    [
        ({"a": 1}, {"a": 1}, ""),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, "a: c is 3, not 2"),
        ({"a": 1}, {"a": 1, "b": 2}, "b is 2, not none"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a is 3, not 2"),
        ({"a": [1, 2]}, {"a": [1]}, "a is [1], not [1, 2]"),
    ],
)
def test_the_first_difference_is_named(chief, other, difference):
    assert first_difference(chief, other) == difference
