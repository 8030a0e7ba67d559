"""Bytes in shards that are compressed one image, or one page of images, at a time."""

from __future__ import annotations

import errno
import threading
import zlib

import pyarrow as pa

from feedbench.loaders.address import Extent

DEFLATE = "deflate"  # a member of a zip
_LARGEST_KEPT = 16 << 20  # bytes per thread; pages have 1 MB or one large image


class _LastPage(threading.local):
    """The page that a thread decompressed last: read in order, images of one page follow."""

    packed = b""
    whole = b""


_last = _LastPage()


def unpacked(data: bytes, extent: Extent) -> bytes:
    """The bytes of an image from those of its extent.

    Raises:
        OSError: they are damaged.
    """
    try:
        if extent.codec == DEFLATE:
            whole = zlib.decompress(data, -zlib.MAX_WBITS)
        else:
            whole = _page(data, extent)
    except (zlib.error, OSError, ValueError) as error:
        raise OSError(errno.EIO, f"its {extent.codec} data is damaged") from error
    if len(whole) < extent.end:
        raise OSError(errno.EIO, f"its {extent.codec} data ends too early")
    return whole[extent.begin : extent.end]


def _page(data: bytes, extent: Extent) -> bytes:
    """A whole page. That its bytes are the last ones is seen faster than they are decompressed."""
    if data == _last.packed:
        return _last.whole
    whole: bytes = pa.Codec(extent.codec).decompress(data, extent.unpacked, asbytes=True)
    if extent.unpacked <= _LARGEST_KEPT:
        _last.packed, _last.whole = data, whole
    return whole
