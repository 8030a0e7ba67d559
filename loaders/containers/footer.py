"""Where the footer of a Parquet file says that a column is.

pyarrow's own metadata of a row group ends the whole process where it is damaged, such as a codec
that does not exist.

Source: the Parquet format's parquet.thrift.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from feedbench.loaders.containers.thrift import read_struct

_END = 8  # bytes behind the footer: its length, and a mark
_ROW_GROUPS, _COLUMNS, _ABOUT = 4, 1, 3  # fields
_CODEC, _PACKED, _DATA_PAGES, _DICTIONARY = 4, 7, 9, 11


class Chunk(NamedTuple):
    """The pages of a column in one row group.

    Attributes:
        codec: its number.
        begin: offset of the first page in the file.
        end: offset behind the last one.
    """

    codec: int
    begin: int
    end: int


def chunks_of(file: memoryview, column: int) -> list[Chunk]:
    """The chunks of a column, one per row group.

    Args:
        file: all bytes of the file.
        column: its number.

    Raises:
        LookupError, TypeError, ValueError: the footer is damaged.
    """
    length = int.from_bytes(file[-_END : 4 - _END], "little")
    begin = len(file) - _END - length
    if begin < 0:
        raise ValueError("the footer is longer than the file")
    footer, _ = read_struct(file[:-_END], begin)
    return [_chunk(group[_COLUMNS][column][_ABOUT], len(file)) for group in footer[_ROW_GROUPS]]


def _chunk(about: dict[int, Any], size: int) -> Chunk:
    begin = about.get(_DICTIONARY) or about[_DATA_PAGES]  # of no rows, there is a dictionary only
    end = begin + about[_PACKED]
    if not 0 <= begin <= end <= size:
        raise ValueError("its pages are not in the file")
    return Chunk(about[_CODEC], begin, end)
