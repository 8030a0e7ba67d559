"""The workers meet at the chief's address, and are refused there if they differ.

The connections stay open for the whole training. TensorFlow then listens on the same port: only
a listening socket would keep it out.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from feedbench.bench.cluster.difference import first_difference
from feedbench.bench.cluster.hosts import Cluster, split
from feedbench.bench.cluster.wire import Message, NotFeedbench, Wire
from feedbench.bench.errors import PlanError

Facts = dict[str, Any]
_HELLO_S = 5.0  # in which another program that connects is recognized
_POLL_S = 0.5
_WELCOME, _ROLL_CALL, _HERE = "welcome", "roll call", "here"
_SAME = "start all workers with the same versions, data and options"


def meet(
    cluster: Cluster,
    facts: Facts,
    told: Facts,
    note: Callable[[str], None],
    poll: Callable[[], None],
) -> tuple[dict[int, Wire], Facts]:
    """Wait for the other workers, and return the connections by worker, and what the chief tells.

    Args:
        facts: what must be equal on all workers, JSON-compatible.
        told: what the chief tells all workers; of others it is not used.
        note: called with a line about whom this worker waits for.
        poll: called while waiting; what it raises ends that.

    Raises:
        PlanError: a worker differs, or does not come in time.
    """
    if cluster.is_chief:
        wires = _receive_all(cluster, facts, note, poll)
        for wire in wires.values():
            with suppress(OSError):  # one that has ended since is noticed next
                wire.send(Message(_WELCOME, told))
        return wires, told
    _check_port(cluster)  # not on the chief: a worker that came meanwhile would be cut off
    wire, welcome = _join(cluster, facts, note, poll)
    return {0: wire}, welcome.values


def _check_port(cluster: Cluster) -> None:
    """Check that TensorFlow will be able to listen at this worker's address."""
    _listening(cluster).close()


def _listening(cluster: Cluster) -> socket.socket:
    address = cluster.addresses[cluster.worker]
    host, port = split(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, backlog=cluster.workers)
    except OSError as error:
        why = (
            "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        )
        raise PlanError(
            f"{cluster.origin}: port {port} of {cluster.name(cluster.worker)} {why}; end the "
            "program that uses it, or give this worker another port"
        ) from error


def _receive_all(
    cluster: Cluster, facts: Facts, note: Callable[[str], None], poll: Callable[[], None]
) -> dict[int, Wire]:
    wires: dict[int, Wire] = {}
    deadline = monotonic() + cluster.waits.join_s
    note(f"waiting for {cluster.workers - 1} more of {cluster.workers} workers")
    try:
        with _listening(cluster) as server:
            while not _is_complete(cluster, wires, note, poll):
                _accept(server, cluster, facts, wires, poll)
                poll()
                _check_time(cluster, wires, deadline)
    except BaseException as error:
        reason = str(error) if isinstance(error, PlanError) else f"{cluster.name(0)} ended"
        _refuse(wires.values(), reason)
        raise
    return wires


def _is_complete(
    cluster: Cluster,
    wires: dict[int, Wire],
    note: Callable[[str], None],
    poll: Callable[[], None],
) -> bool:
    """Whether all workers are there, also those that came first; forget those that are not."""
    if len(wires) < cluster.workers - 1:
        return False
    for number in sorted(wires):
        if not _is_here(wires[number], cluster, poll):
            note(f"{cluster.name(number)} came and has ended since; waiting for it")
            wires.pop(number).close()
    return len(wires) == cluster.workers - 1


def _is_here(wire: Wire, cluster: Cluster, poll: Callable[[], None]) -> bool:
    """Whether a worker that has come answers; a machine that vanished closes no connection."""
    deadline = monotonic() + cluster.waits.silence_s
    with suppress(OSError, NotFeedbench, ValueError):
        wire.send(Message(_ROLL_CALL))
        while not wire.is_readable(_POLL_S):
            poll()
            if monotonic() > deadline:
                return False
        return wire.receive(_HELLO_S).kind == _HERE
    return False


def _accept(
    server: socket.socket,
    cluster: Cluster,
    facts: Facts,
    wires: dict[int, Wire],
    poll: Callable[[], None],
) -> None:
    """Take in a worker, if one is at the door."""
    server.settimeout(_POLL_S)
    try:
        connection, _ = server.accept()
    except TimeoutError:
        return
    wire = Wire(connection)
    try:
        hello = wire.receive(_HELLO_S)
    except (OSError, NotFeedbench, ValueError):
        wire.close()  # a scan of ports, or another program
        return
    _drop_ended(wires)
    worker, theirs = hello.values.get("worker"), hello.values.get("facts")
    if worker in wires and not _is_here(wires[worker], cluster, poll):
        wires.pop(worker).close()  # its machine was started again
    if refusal := _why_not(cluster, facts, wires, worker, theirs):
        _refuse([wire], refusal)
        raise PlanError(refusal)
    wires[int(str(worker))] = wire


def _drop_ended(wires: dict[int, Wire]) -> None:
    """Forget the workers that have ended; each can be started again until all are there."""
    for number in [number for number, wire in wires.items() if wire.is_closed]:
        wires.pop(number).close()


def _why_not(
    cluster: Cluster, facts: Facts, wires: dict[int, Wire], worker: Any, theirs: Any
) -> str:
    """Return why a worker cannot take part; empty if it can."""
    if not isinstance(worker, int) or not 0 < worker < cluster.workers:
        return f"a worker {worker} came, but {cluster.origin} has 1 to {cluster.workers - 1}"
    if worker in wires:
        return f"{cluster.name(worker)} came twice; give each worker its own --worker"
    if found := first_difference(facts, theirs):
        return f"{cluster.name(worker)} differs from the chief: {found}; {_SAME}"
    return ""


def _refuse(wires: Any, reason: str) -> None:
    for wire in wires:
        with suppress(OSError):
            wire.send(Message("refused", {"reason": reason}))
        wire.close()


def _check_time(cluster: Cluster, wires: dict[int, Wire], deadline: float) -> None:
    missing = [number for number in range(1, cluster.workers) if number not in wires]
    if missing and monotonic() > deadline:
        raise PlanError(
            f"{cluster.name(missing[0])} has not come within {cluster.waits.join_s:g} s; start it, "
            f"or check that its machine reaches {cluster.addresses[0]}"
        )


def _join(
    cluster: Cluster, facts: Facts, note: Callable[[str], None], poll: Callable[[], None]
) -> tuple[Wire, Message]:
    note(f"this is {cluster.name(cluster.worker)} of {cluster.workers}; joining {cluster.name(0)}")
    wire = _connected(cluster, poll)
    try:
        hello = Message("hello", {"worker": cluster.worker, "facts": facts})
        answer = _answer(wire, hello, cluster, poll)
        while answer.kind == _ROLL_CALL:
            answer = _answer(wire, Message(_HERE), cluster, poll)
    except BaseException:
        wire.close()
        raise
    return wire, answer


def _await_answer(wire: Wire, cluster: Cluster, poll: Callable[[], None]) -> None:
    deadline = monotonic() + cluster.waits.join_s
    while not wire.is_readable(_POLL_S):
        poll()
        if monotonic() > deadline:
            raise PlanError(
                f"the other workers have not come within {cluster.waits.join_s:g} s; start them"
            )


def _answer(wire: Wire, message: Message, cluster: Cluster, poll: Callable[[], None]) -> Message:
    """Send a message, and return what the chief says next."""
    with suppress(OSError):  # it has ended: receiving fails too
        wire.send(message)
    _await_answer(wire, cluster, poll)
    try:
        answer = wire.receive(_HELLO_S)
    except NotFeedbench as error:
        raise PlanError(
            f"{cluster.addresses[0]} answers, but not as a chief that waits for its workers: a "
            f"training runs there already, or {cluster.origin} names the port of another program"
        ) from error
    except (OSError, ValueError) as error:
        raise PlanError(f"{cluster.name(0)} ended before all workers had come") from error
    if answer.kind not in (_WELCOME, _ROLL_CALL):
        raise PlanError(str(answer.values.get("reason")))
    return answer


def _connected(cluster: Cluster, poll: Callable[[], None]) -> Wire:
    deadline = monotonic() + cluster.waits.join_s
    while True:
        try:
            return Wire(socket.create_connection(split(cluster.addresses[0]), _HELLO_S))
        except OSError as error:
            if monotonic() > deadline:
                raise PlanError(
                    f"no chief answers at {cluster.addresses[0]} within "
                    f"{cluster.waits.join_s:g} s ({error.strerror or error}); start it there, or "
                    f"correct its address in {cluster.origin}"
                ) from error
        poll()
        sleep(_POLL_S)
