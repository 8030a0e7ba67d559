"""Integers of variable length, as protobuf, Thrift and Parquet write them."""

from __future__ import annotations


def varint(data: memoryview, begin: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, and where it ends.

    Raises:
        ValueError: these are not the bytes of one.
    """
    value = shift = 0
    while shift < 64 and begin < len(data):
        byte = data[begin]
        begin += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, begin
        shift += 7
    raise ValueError("no number where one must be")
