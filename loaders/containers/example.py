"""Where the features of a serialized `tf.train.Example` are, by the wire format of protobuf."""

from __future__ import annotations

from collections.abc import Iterator

from feedbench.loaders.containers.varint import varint

Span = tuple[int, int]  # begin and end among the bytes of the record
_VARINT, _BYTES = 0, 2  # wire types
_FIXED = {1: 8, 5: 4}  # bytes by wire type
_BYTES_LIST, _INT64_LIST = 1, 3  # fields of a Feature


def features(data: memoryview) -> dict[str, Span]:
    """The place of each feature by its name; nothing but lengths and names is read.

    Raises:
        ValueError: these are not the bytes of an Example.
    """
    found = {}
    for whole in _of_number(1, data, (0, len(data))):
        for entry in _of_number(1, data, whole):
            places = dict(_fields(data, entry))
            begin, end = places.get(1, (0, 0))
            found[bytes(data[begin:end]).decode()] = places.get(2, (end, end))
    return found


def bytes_of(data: memoryview, feature: Span) -> Span | None:
    """The place of the first value of a feature of bytes; None if it has none, or of other kind."""
    return next(_all_bytes_of(data, feature), None)


def values_of(data: memoryview, feature: Span) -> list[int | bytes]:
    """The values of a feature of integers or bytes; none of one of floats."""
    texts = (bytes(data[slice(*place)]) for place in _all_bytes_of(data, feature))
    return [*_integers_of(data, feature), *texts]


def _all_bytes_of(data: memoryview, feature: Span) -> Iterator[Span]:
    for values in _of_number(_BYTES_LIST, data, feature):
        yield from _of_number(1, data, values)


def _integers_of(data: memoryview, feature: Span) -> Iterator[int]:
    for values in _of_number(_INT64_LIST, data, feature):
        for begin, end in _of_number(1, data, values):
            while begin < end:  # several where they are packed
                value, begin = varint(data, begin)
                yield value - (1 << 64) if value >> 63 else value


def _of_number(number: int, data: memoryview, message: Span) -> Iterator[Span]:
    """The place of each field of a message that has this number."""
    return (place for found, place in _fields(data, message) if found == number)


def _fields(data: memoryview, message: Span) -> Iterator[tuple[int, Span]]:
    """Number and place of each field of a message."""
    begin, end = message
    while begin < end:
        key, begin = varint(data, begin)
        kind = key & 7
        if kind == _BYTES:
            length, begin = varint(data, begin)
        elif kind == _VARINT:
            length = varint(data, begin)[1] - begin
        else:
            length = _FIXED.get(kind, end)
        if begin + length > end:
            raise ValueError("not a tf.train.Example")
        yield key >> 3, (begin, begin + length)
        begin += length
