"""Structures in Thrift's compact protocol, in which Parquet writes the header of each page.

Source: thrift/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feedbench.loaders.containers.varint import varint

_STOP, _TRUE, _FALSE, _BYTE = 0, 1, 2, 3  # types; the others are in `_READERS`
_LONG_LIST = 15  # elements: their number follows


def read_struct(data: memoryview, begin: int) -> tuple[dict[int, Any], int]:
    """The fields of a structure by their numbers, and where it ends.

    Raises:
        ValueError: these are not the bytes of one.
    """
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head, begin = _byte(data, begin)
        kind = head & 15
        if kind == _STOP:
            return fields, begin
        if step := head >> 4:
            number += step
        else:
            number, begin = _signed(data, begin)
        fields[number], begin = _value(data, begin, kind)


def _value(data: memoryview, begin: int, kind: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, begin
    if kind not in _READERS:
        raise ValueError(f"unknown type {kind}")
    return _READERS[kind](data, begin)


def _double(_: memoryview, begin: int) -> tuple[None, int]:
    return None, begin + 8


def _text(data: memoryview, begin: int) -> tuple[None, int]:
    """Skipped: no header has text that matters here."""
    length, begin = varint(data, begin)
    return None, begin + length


def _elements(data: memoryview, begin: int) -> tuple[list[Any], int]:
    head, begin = _byte(data, begin)
    count = head >> 4
    if count == _LONG_LIST:
        count, begin = varint(data, begin)
    # Unlike a field, an element that is true or false has a byte of its own.
    kind = _BYTE if head & 15 in (_TRUE, _FALSE) else head & 15
    values = []
    for _ in range(count):
        value, begin = _value(data, begin, kind)
        values.append(value)
    return values, begin


def _signed(data: memoryview, begin: int) -> tuple[int, int]:
    value, begin = varint(data, begin)
    return (value >> 1) ^ -(value & 1), begin


def _byte(data: memoryview, begin: int) -> tuple[int, int]:
    if begin >= len(data):
        raise ValueError("the data ends too early")
    return data[begin], begin + 1


_READERS: dict[int, Callable[[memoryview, int], tuple[Any, int]]] = {
    _BYTE: _byte,
    4: _signed,
    5: _signed,
    6: _signed,
    7: _double,
    8: _text,
    9: _elements,
    10: _elements,
    12: read_struct,
}
