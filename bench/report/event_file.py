"""TensorBoard's event files: scalars and hyperparameters, written without TensorFlow.

A file is a sequence of protocol buffers, each framed by its length and two checksums.

Sources: TensorFlow's `tsl/lib/io/record_writer.h` (frames), `core/util/event.proto` and
`core/framework/summary.proto`; TensorBoard's `plugins/hparams/plugin_data.proto` and `api.proto`
(field numbers).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import time

Value = str | bool | int | float
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, reversed
_MASK = 0xA282EAD8


def _remainder(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ _POLYNOMIAL * (value & 1)
    return value


_TABLE = [_remainder(byte) for byte in range(256)]
_DOUBLE, _BYTES, _FLOAT = 1, 2, 5  # wire types
_STRING_TYPE, _BOOL_TYPE, _NUMBER_TYPE = 1, 2, 3  # DataType of api.proto
_SUCCESS = 1  # Status of api.proto


@dataclass(frozen=True)
class Scalar:
    """A value at a step.

    Attributes:
        at: seconds since 1970.
    """

    tag: str
    step: int
    value: float
    at: float


def file_start() -> bytes:
    """Return the event with which a file begins."""
    return _frame(_number(1, time()) + _text(3, "brain.Event:2"))


def scalar_events(scalars: Sequence[Scalar]) -> bytes:
    """Return the events of scalars."""
    events = [
        _event(scalar.at, scalar.step, _text(1, scalar.tag) + _number(2, scalar.value, _FLOAT))
        for scalar in scalars
    ]
    return b"".join(map(_frame, events))


def session_start_events(hparams: Mapping[str, Value], begin: float) -> bytes:
    """Return the event that makes the run of its folder a row of the HParams table.

    Args:
        hparams: what was set in this run.
        begin: seconds since 1970.
    """
    values = b"".join(
        _message(1, _text(1, name) + _message(2, _protobuf_value(value)))
        for name, value in hparams.items()
    )
    start = _message(3, values + _number(5, begin))
    return _frame(_hparams_event("session_start_info", start))


def session_end_events(end: float) -> bytes:
    """Return the event by which the HParams table knows that a run is finished.

    Args:
        end: seconds since 1970.
    """
    finish = _message(4, _integer(1, _SUCCESS) + _number(2, end))
    return _frame(_hparams_event("session_end_info", finish))


def experiment_events(hparams: Mapping[str, Sequence[Value]], metrics: Mapping[str, str]) -> bytes:
    """Return the event that gives the HParams table its columns; its file lies above the runs.

    Args:
        hparams: all values of each.
        metrics: the title of each column, by the tag of the scalar.
    """
    infos = b"".join(
        _message(4, _text(1, name) + _integer(4, _data_type(values)))
        for name, values in hparams.items()
    )
    columns = b"".join(
        _message(5, _message(1, _text(2, tag)) + _text(3, title)) for tag, title in metrics.items()
    )
    event = _hparams_event("experiment", _message(2, _number(3, time()) + infos + columns))
    return _frame(event)


def _hparams_event(tag: str, content: bytes) -> bytes:
    """Return an event of the plugin, whose content is metadata; its tensor is a single zero."""
    metadata = _message(1, _text(1, "hparams") + _message(2, content))
    tensor = _integer(1, 1) + _message(2, _message(2, _integer(1, 1))) + _number(5, 0.0, _FLOAT)
    value = _text(1, f"_hparams_/{tag}") + _message(8, tensor) + _message(9, metadata)
    return _event(time(), 0, value)


def _data_type(values: Sequence[Value]) -> int:
    if all(isinstance(value, bool) for value in values):
        return _BOOL_TYPE
    return _STRING_TYPE if any(isinstance(value, str) for value in values) else _NUMBER_TYPE


def _protobuf_value(value: Value) -> bytes:
    """Return a `google.protobuf.Value`."""
    if isinstance(value, bool):
        return _integer(4, value)
    return _text(3, value) if isinstance(value, str) else _number(2, value)


def _event(at: float, step: int, value: bytes) -> bytes:
    return _number(1, at) + _integer(2, step) + _message(5, _message(1, value))


def _frame(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """Return the masked CRC-32C of some bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)


def _message(field: int, data: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode("utf-8", "replace"))


def _number(field: int, value: float, wire_type: int = _DOUBLE) -> bytes:
    return _key(field, wire_type) + struct.pack("<d" if wire_type == _DOUBLE else "<f", value)


def _integer(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(value)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
