"""The size of a JPEG XL image from its first bytes; Pillow cannot read the format."""

from __future__ import annotations

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def is_jxl(data: bytes) -> bool:
    """Whether the bytes begin like a JPEG XL file."""
    return data.startswith((CODESTREAM, CONTAINER))


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None if the header is truncated or damaged.

    Source: SizeHeader of ISO/IEC 18181-1; a container holds it in a box `jxlc` or `jxlp`.
    """
    header = _codestream(data)[2:16]
    if len(header) < 10:
        return None
    bits = _Bits(int.from_bytes(header, "little"))
    small = bits.take(1)
    height = _length(bits, small)
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return _length(bits, small), height


class _Bits:
    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


def _length(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


def _codestream(data: bytes) -> bytes:
    if data.startswith(CODESTREAM):
        return data
    begin = 0
    while begin + 8 <= len(data):
        length, kind = int.from_bytes(data[begin : begin + 4], "big"), data[begin + 4 : begin + 8]
        if kind in (b"jxlc", b"jxlp"):
            # A partial codestream has its number before its bytes.
            return data[begin + (12 if kind == b"jxlp" else 8) :]
        if length < 8:
            break
        begin += length
    return b""
