"""Messages between workers: a JSON object and bytes, each with its length before it."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_LENGTHS = struct.Struct("!QQ")  # of both parts
_MARK = b"feedben1"  # what each message begins with
_MAX_TEXT = 1 << 26
_PIECE = 1 << 20  # sent at a time, within the time that one receive may take


class NotFeedbench(Exception):
    """What the other side sent is no message: it is another program."""


@dataclass(frozen=True)
class Message:
    """What one worker tells another.

    Attributes:
        kind: what it is about.
        values: JSON-compatible.
        data: bytes that go with it.
    """

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""


class Wire:
    """One end of a connection; several threads may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message: Message) -> None:
        """Send a message whole.

        Raises:
            OSError: the connection is lost.
        """
        text = json.dumps([message.kind, message.values]).encode()
        head = _MARK + _LENGTHS.pack(len(text), len(message.data))
        with self._sending:
            self._connection.sendall(head + text)
            for begin in range(0, len(message.data), _PIECE):
                self._connection.sendall(message.data[begin : begin + _PIECE])

    def receive(self, timeout_s: float | None = None) -> Message:
        """Wait for a message.

        Args:
            timeout_s: longest time without a byte; None for no limit.

        Raises:
            OSError: the connection is lost, or nothing came in time.
            NotFeedbench: the other side speaks another language.
        """
        self._connection.settimeout(timeout_s)
        if self._read(len(_MARK)) != _MARK:
            raise NotFeedbench
        length, size = _LENGTHS.unpack(self._read(_LENGTHS.size))
        if length > _MAX_TEXT:
            raise NotFeedbench
        kind, values = json.loads(self._read(length))
        return Message(kind, values, self._read(size))

    def is_readable(self, timeout_s: float) -> bool:
        """Wait until a message, or the end of the connection, has arrived."""
        return bool(select.select([self._connection], [], [], timeout_s)[0])

    @property
    def is_closed(self) -> bool:
        """Whether the other side has ended the connection; called while nothing is expected."""
        with suppress(OSError):
            return self.is_readable(0) and not self._connection.recv(1, socket.MSG_PEEK)
        return True

    def close(self) -> None:
        """End the connection; a thread that waits for a message on it gets an error."""
        with suppress(OSError):  # the other side has ended it already
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _read(self, size: int) -> bytes:
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            count = self._connection.recv_into(view[done:])
            if not count:
                raise ConnectionResetError("the connection was closed")
            done += count
        return bytes(data)
