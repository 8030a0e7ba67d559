"""Where the values of a binary column are in the pages of a Parquet file.

pyarrow reads whole row groups, often 100 images for one. A page is the smallest part that can be
read alone; where it is not compressed, that is a single image.

Source: the Parquet format's README.md and Encodings.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feedbench.loaders.containers.footer import Chunk
from feedbench.loaders.containers.thrift import read_struct
from feedbench.loaders.containers.varint import varint

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3  # types of pages
_PLAIN, _BY_DICTIONARY = 0, (2, 8)  # encodings
_CODECS = {0: "", 1: "snappy", 2: "gzip", 4: "brotli", 5: "lz4_raw", 6: "zstd", 7: "lz4_raw"}
# Fields of a page's header, and of the headers inside it.
_TYPE, _UNPACKED, _PACKED, _OF_DATA, _OF_DICTIONARY, _OF_DATA_V2 = 1, 2, 3, 5, 7, 8
_VALUES, _ENCODING = 1, 2
_V2_ENCODING, _V2_DEFINITIONS, _V2_REPETITIONS, _V2_IS_COMPRESSED = 4, 5, 6, 7


class Value(NamedTuple):
    """Where a value is in the file; the fields are those of `Extent`."""

    offset: int
    length: int
    codec: str = ""
    unpacked: int = 0
    begin: int = 0
    end: int = 0


class NoValue(ValueError):
    """A row has no value in the file.

    Attributes:
        row: its number in the page, or in the column chunk.
    """

    def __init__(self, row: int) -> None:
        super().__init__("an image is not in the file, but elsewhere or missing")
        self.row = row


class _Page(NamedTuple):
    """The part of a page that may be compressed: in the file, and decompressed."""

    offset: int
    length: int
    codec: str
    data: memoryview


def values(file: memoryview, chunk: Chunk, levels: int) -> Iterator[Value]:
    """The values of a column chunk, in the order of its rows.

    Args:
        file: all bytes of the file.
        levels: largest definition level: that of a value that is there.

    Raises:
        NoValue: a value is missing.
        LookupError, TypeError, ValueError: a page is damaged or encoded in another way.
    """
    if chunk.codec not in _CODECS:
        raise ValueError(f"its pages are compressed by codec {chunk.codec}, which is not supported")
    codec, position = _CODECS[chunk.codec], chunk.begin
    known: list[Value] = []
    rows = 0
    while position < chunk.end:
        header, position = read_struct(file, position)
        if header[_PACKED] < 0:
            raise ValueError("the size of a page is negative")
        after = position + header[_PACKED]
        if header[_TYPE] == _DICTIONARY:
            packed = _page(file, position, header, codec)
            known = list(_plain(packed, 0, header[_OF_DICTIONARY][_VALUES]))
        elif header[_TYPE] in (_DATA, _DATA_V2):
            page = _of_page(file, position, header, codec, levels, known)
            try:
                for value in page:
                    yield value
                    rows += 1
            except NoValue as error:
                raise NoValue(rows + error.row) from None
        position = after


def _of_page(
    file: memoryview,
    position: int,
    header: dict[int, Any],
    codec: str,
    levels: int,
    known: list[Value],
) -> Iterator[Value]:
    """The values of a data page, of which those in `known` are in the dictionary's page."""
    if header[_TYPE] == _DATA:
        about = header[_OF_DATA]
        count, encoding = about[_VALUES], about[_ENCODING]
        page = _page(file, position, header, codec)
        begin = _skip_levels(page.data, count, levels)
    else:
        about = header[_OF_DATA_V2]
        count, encoding = about[_VALUES], about[_V2_ENCODING]
        before = about[_V2_DEFINITIONS] + about[_V2_REPETITIONS]
        _check_levels(file[position : position + before], count, levels)
        codec = codec if about.get(_V2_IS_COMPRESSED, True) else ""
        page, begin = _page(file, position, header, codec, before), 0
    if encoding == _PLAIN:
        yield from _plain(page, begin, count)
    elif encoding in _BY_DICTIONARY:
        width = page.data[begin]
        yield from (known[index] for index in _runs(page.data[begin + 1 :], width, count).tolist())
    else:
        raise ValueError(f"encoding {encoding} of its pages is not supported")


def _page(
    file: memoryview, position: int, header: dict[int, Any], codec: str, before: int = 0
) -> _Page:
    """A page without the levels `before` its data, which are never compressed."""
    offset, length = position + before, header[_PACKED] - before
    data = file[offset : offset + length]
    if codec:
        unpacked = pa.Codec(codec).decompress(data, header[_UNPACKED] - before)
        data = memoryview(unpacked).cast("B")  # pyarrow says that its bytes are signed
    return _Page(offset, length, codec, data)


def _plain(page: _Page, begin: int, count: int) -> Iterator[Value]:
    """Values that follow their lengths, of four bytes."""
    for _ in range(count):
        end = begin + 4 + int.from_bytes(page.data[begin : begin + 4], "little")
        begin += 4
        if end > len(page.data):
            raise ValueError("a page ends inside a value")
        if page.codec:
            yield Value(page.offset, page.length, page.codec, len(page.data), begin, end)
        else:
            yield Value(page.offset + begin, end - begin)
        begin = end


def _skip_levels(data: memoryview, count: int, levels: int) -> int:
    """Where the values begin, behind the definition levels."""
    if not levels:
        return 0
    end = 4 + int.from_bytes(data[:4], "little")
    _check_levels(data[4:end], count, levels)
    return end


def _check_levels(data: memoryview, count: int, levels: int) -> None:
    if not levels:
        return
    missing = _runs(data, levels.bit_length(), count) != levels
    if missing.any():
        raise NoValue(int(np.argmax(missing)))


def _runs(data: memoryview, width: int, count: int) -> NDArray[np.int64]:
    """Numbers of `width` bits in runs: of one number repeated, or of packed groups of eight."""
    parts = [np.zeros(0, np.int64)]
    begin = found = 0
    while found < count:
        head, begin = varint(data, begin)
        is_packed = head & 1
        length = (head >> 1) * width if is_packed else -(-width // 8)
        run = data[begin : begin + length]
        if is_packed:
            parts.append(_packed(run, width, 8 * (head >> 1)))
        else:
            repeats = min(head >> 1, count - found)  # a damaged one would take all memory
            parts.append(np.full(repeats, int.from_bytes(run, "little"), np.int64))
        begin += length
        found += len(parts[-1])
    return np.concatenate(parts)[:count]


def _packed(data: memoryview, width: int, count: int) -> NDArray[np.int64]:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    weights: NDArray[np.int64] = 1 << np.arange(width, dtype=np.int64)
    return bits.reshape(count, width).astype(np.int64) @ weights
