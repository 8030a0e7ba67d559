"""The shards of a pack of JPEGs: TFRecord files that any tool can read."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.pack.pack import PARTIAL, read_into

_SHARD_BYTES = 2**28
Pixels = NDArray[np.uint8]


class Records:
    """TFRecord files; each record is a tf.train.Example with the JPEG, its label and its row."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths = sorted(folder.glob("images-*.tfrecord" + PARTIAL))
        self._lock = threading.Lock()
        self._writer: Any = None
        self._end = 0

    def read(self, shard: int, offset: int, into: Pixels) -> bool:
        """Fill `into` from an offset in a shard; False if the shard ends before."""
        try:
            file = os.open(self._paths[shard], os.O_RDONLY)
        except (IndexError, OSError):
            return False
        try:
            return read_into(file, into, offset)
        finally:
            os.close(file)

    def write(self, row: int, data: Pixels, label: int) -> tuple[int, int]:
        """Append a JPEG; returns its shard and the offset of its bytes."""
        jpeg = data.tobytes()
        record = _example(jpeg, label, row)
        with self._lock:
            if self._writer is None or self._end > _SHARD_BYTES:
                self._start_shard()
            self._writer.write(record)
            # A record is its length (8 bytes), the length's checksum (4), its data, and its
            # checksum (4).
            offset = self._end + 12 + record.index(jpeg)
            self._end += 16 + len(record)
            return len(self._paths) - 1, offset

    def truncate(self, entries: NDArray[Any]) -> None:
        """End each file after the last record of some entries."""
        for number, path in enumerate(self._paths):
            of_shard = entries[entries["shard"] == number]
            path.write_bytes(b"") if not len(of_shard) else _truncate(path, of_shard)

    def finish(self) -> tuple[str, ...]:
        """Give all shards their final names and return these."""
        self.close()
        final = [path.with_name(path.name.removesuffix(PARTIAL)) for path in self._paths]
        for path, name in zip(self._paths, final, strict=True):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.replace(name)
        return tuple(path.name for path in final)

    def close(self) -> None:
        """Close the shard that is being written."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _start_shard(self) -> None:
        import tensorflow as tf

        self.close()
        path = self._folder / f"images-{len(self._paths):05}.tfrecord{PARTIAL}"
        self._writer = tf.io.TFRecordWriter(str(path))
        self._paths.append(path)
        self._end = 0


def _example(jpeg: bytes, label: int, row: int) -> bytes:
    import tensorflow as tf

    def numbers(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg])),
        "image/class/label": numbers(label),
        "image/row": numbers(row),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString())


def _truncate(path: Path, entries: NDArray[Any]) -> None:
    """Truncate a TFRecord file after the record that holds the last of some entries."""
    last = int((entries["offset"] + entries["length"]).max())
    with path.open("r+b") as file:
        end = 0
        while end < last:
            file.seek(end)
            end += 16 + int.from_bytes(file.read(8), "little")
        file.truncate(end)
