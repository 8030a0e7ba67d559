"""Progressive JPEGs without all of their scans, whose missing coefficients decoders guess."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PROGRESSIVE, _SCAN, _END, _TABLES = (0xC2, 0xCA), 0xDA, 0xD9, (0xC4, 0xC8, 0xCC)
# A marker behind compressed data, in which 0xFF is followed by 0 or by the mark of a restart.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_GUESSED = 10  # coefficients of a block from which libjpeg guesses, in the order of a zigzag


def lacks_scans(data: bytes) -> bool:
    """Whether a JPEG is progressive and has not all bits of the first coefficients.

    libjpeg then smooths its blocks: in ways that depend on its version, and in a part of an image
    otherwise than in all of it.
    """
    left: dict[int, list[int | None]] = {}  # bits to come, by component and coefficient
    try:
        for marker, segment in _segments(data):
            if marker == _SCAN:
                _take(segment, left)
            elif marker in _PROGRESSIVE:
                left = {number: [None] * _GUESSED for number in segment[6::3]}
            elif 0xC0 <= marker < 0xD0 and marker not in _TABLES:
                return False
    except IndexError:  # it is cut short
        return False
    return any(bits != 0 for coefficients in left.values() for bits in coefficients)


def _take(scan: bytes, left: dict[int, list[int | None]]) -> None:
    """Note which coefficients a scan has, and how many of their bits are still to come."""
    count = scan[0]
    first, last, bits = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 0x0F
    for component in scan[1 : 1 + 2 * count : 2]:
        if component in left:
            for number in range(first, min(last + 1, _GUESSED)):
                left[component][number] = bits


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers with their segments; compressed data is skipped."""
    at = 2
    while (found := _MARKER.search(data, at)) and data[found.end() - 1] != _END:
        begin = found.end()
        at = begin + int.from_bytes(data[begin : begin + 2])
        yield data[begin - 1], data[begin + 2 : at]
