"""Checksums that shards store. A scan compares them; loaders do not, at the price of a flipped bit.

Two kinds, by the prefix: `crc32:` of a zip's member, and `record:` of the TFRecord at an offset,
whose checksum covers the whole record and is TensorFlow's to compare.
"""

from __future__ import annotations

import zlib

from feedbench.loaders.address import extent_of, file_of, is_remote

CRC32, RECORD = "crc32:", "record:"


def mismatch(path: bytes, data: bytes) -> str | None:
    """Why the bytes of an image are not those that were stored; None if no checksum says so."""
    extent = extent_of(path)
    if extent is None or not extent.check:
        return None
    kind, _, value = extent.check.partition(":")
    if kind + ":" == RECORD and is_remote(path):
        return None  # TensorFlow would have to open the object
    if kind + ":" == CRC32:
        is_whole = zlib.crc32(data) == int(value, 16)
    else:
        is_whole = _is_whole_record(file_of(path), int(value))
    return None if is_whole else "damaged: its checksum differs"


def _is_whole_record(path: bytes, offset: int) -> bool:
    import tensorflow as tf

    records = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=0, byte_offsets=[offset]
    )
    try:
        tf.raw_ops.DatasetToSingleElement(
            dataset=tf.raw_ops.TakeDataset(
                input_dataset=records, count=1, output_types=[tf.string], output_shapes=[()]
            ),
            output_types=[tf.string],
            output_shapes=[()],
        )
    except tf.errors.OpError:
        return False
    return True
