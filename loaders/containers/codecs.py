"""Bytes in shards that are compressed one image, or one page of images, at a time."""

from __future__ import annotations

import errno
import zlib

import pyarrow as pa

from feedbench.loaders.address import Extent

DEFLATE = "deflate"  # a member of a zip
PAGE_CODECS = ("snappy", "gzip", "brotli", "zstd", "lz4_raw")  # of a page of a Parquet file


def unpacked(data: bytes, extent: Extent) -> bytes:
    """The bytes of an image from those of its extent.

    Raises:
        OSError: they are damaged.
    """
    try:
        if extent.codec == DEFLATE:
            whole = zlib.decompress(data, -zlib.MAX_WBITS)
        else:
            whole = pa.Codec(extent.codec).decompress(data, extent.unpacked, asbytes=True)
    except (zlib.error, OSError, ValueError) as error:
        raise OSError(errno.EIO, f"its {extent.codec} data is damaged") from error
    if len(whole) < extent.end:
        raise OSError(errno.EIO, f"its {extent.codec} data ends too early")
    return whole[extent.begin : extent.end]
