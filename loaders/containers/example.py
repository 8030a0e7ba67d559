"""Where the features of a serialized `tf.train.Example` are, by the wire format of protobuf."""

from __future__ import annotations

from collections.abc import Iterator

from feedbench.loaders.containers.varint import varint

Span = tuple[int, int]  # begin and end among the bytes of the record
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_BYTES_LIST, _INT64_LIST = 1, 3  # fields of a Feature


def features(data: memoryview) -> dict[str, Span]:
    """The place of each feature by its name; nothing but lengths and names is read.

    Raises:
        ValueError: these are not the bytes of an Example.
    """
    found = {}
    for _, *whole in _fields(data, 0, len(data), only=1):
        for _, *entry in _fields(data, *whole, only=1):
            places = {number: (begin, end) for number, begin, end in _fields(data, *entry)}
            begin, end = places.get(1, (0, 0))
            found[bytes(data[begin:end]).decode()] = places.get(2, (end, end))
    return found


def bytes_of(data: memoryview, feature: Span) -> Span | None:
    """The place of the first value of a feature of bytes; None if it has none, or of other kind."""
    for _, *values in _fields(data, *feature, only=_BYTES_LIST):
        for _, begin, end in _fields(data, *values, only=1):
            return begin, end
    return None


def integer_of(data: memoryview, feature: Span) -> int | None:
    """The first value of a feature of integers; None if it has none, or of other kind."""
    for _, *values in _fields(data, *feature, only=_INT64_LIST):
        for _, begin, _ in _fields(data, *values, only=1):  # packed or not, the first comes first
            value = varint(data, begin)[0]
            return value - (1 << 64) if value >> 63 else value
    return None


def _fields(
    data: memoryview, begin: int, end: int, only: int | None = None
) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of each field of a message, or of those with one number."""
    while begin < end:
        key, begin = varint(data, begin)
        number, kind = key >> 3, key & 7
        if kind == _BYTES:
            length, begin = varint(data, begin)
        elif kind == _VARINT:
            length = varint(data, begin)[1] - begin
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("not a tf.train.Example")
        if begin + length > end:
            raise ValueError("not a tf.train.Example")
        if only is None or number == only:
            yield number, begin, begin + length
        begin += length
