"""Asks a dispatcher of the tf.data service whether it answers, and which workers it has.

TensorFlow's own client has no such question, and would try a wrong address for an hour.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import Any

from feedbench.loaders.errors import LoaderError
from feedbench.loaders.service.address import Address

_DISPATCHER = "/tensorflow.data.DispatcherService"
_POLL_S = 0.5
ANSWER_S = 5.0  # within which a dispatcher answers such a question
_CONNECT_S = 1.0  # within which a worker takes a connection
_ASKED_AT_ONCE = 32  # workers: hosts that have vanished do not answer at all


class ServiceError(LoaderError):
    """A server of the tf.data service does not answer, or does not do its work."""


def workers_of(dispatcher: Address, timeout_s: float = ANSWER_S) -> list[str]:
    """The addresses of the workers that have registered with a dispatcher, dead ones included.

    Raises:
        ServiceError: it does not answer, or is no dispatcher.
    """
    answer = _ask(dispatcher, "GetWorkers", timeout_s)
    return [_text(worker) for worker in _fields(answer)]


def running_workers_of(dispatcher: Address) -> list[str]:
    """The addresses of the registered workers that take a connection.

    Raises:
        ServiceError: the dispatcher does not answer, or is none.
    """
    workers = workers_of(dispatcher)
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
        are_running = threads.map(_is_running, workers)
        return [one for one, runs in zip(workers, are_running, strict=True) if runs]


def _is_running(worker: str) -> bool:
    try:
        with socket.create_connection(Address.parse(worker, "worker"), _CONNECT_S):
            return True
    except OSError:
        return False


def wait_for_dispatcher(dispatcher: Address, timeout_s: float) -> None:
    """Wait until a dispatcher answers.

    Raises:
        ServiceError: it does not in time, or is no dispatcher.
    """
    deadline = monotonic() + timeout_s
    while True:
        try:
            workers_of(dispatcher)
            return
        except ServiceError:
            if monotonic() > deadline:
                raise
        sleep(_POLL_S)


def _ask(dispatcher: Address, question: str, timeout_s: float) -> bytes:
    import grpc

    with grpc.insecure_channel(str(dispatcher)) as channel:
        try:
            call = channel.unary_unary(f"{_DISPATCHER}/{question}")
            answer: bytes = call(b"", timeout=timeout_s)
            return answer
        except grpc.RpcError as error:
            raise ServiceError(f"{dispatcher}: {_why(error)}") from error


def _why(error: Any) -> str:
    """Why a dispatcher gave no answer, and what to do."""
    import grpc

    if error.code() == grpc.StatusCode.UNIMPLEMENTED:
        return (
            "this is no dispatcher of the tf.data service; give the address of the dispatcher, "
            "not of a worker"
        )
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return (
            "no dispatcher of the tf.data service answers; check the address, and start one "
            "with feedbench serve --dispatcher"
        )
    return f"the dispatcher answers with an error: {error.details()}"


def _fields(message: bytes) -> Iterator[bytes]:
    """The values of a message's first field, each text or a message of its own.

    Source: https://protobuf.dev/programming-guides/encoding, "Message Structure".
    """
    position = 0
    while position < len(message):
        key, position = _number(message, position)
        kind = key & 7
        if kind != 2:  # a number
            _, position = _number(message, position)
            continue
        length, position = _number(message, position)
        if key >> 3 == 1:
            yield message[position : position + length]
        position += length


def _text(message: bytes) -> str:
    """A message's first text."""
    return next(_fields(message), b"").decode(errors="replace")


def _number(message: bytes, position: int) -> tuple[int, int]:
    """A number in base 128, the lowest digit first, and the position after it."""
    value = shift = 0
    while True:
        digit = message[position]
        value |= (digit & 127) << shift
        position, shift = position + 1, shift + 7
        if digit < 128:
            return value, position
