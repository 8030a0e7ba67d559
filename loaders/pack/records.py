"""The shards of a pack of JPEGs: TFRecord files that any tool can read."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.pack.pack import PARTIAL, read_into

SHARD_BYTES = 2**28
_NEVER = 2**62  # beyond every file
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Records:
    """TFRecord files; each record is a tf.train.Example with the JPEG, its label and its row."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: list[Path] = []
        self._lock = threading.Lock()
        self._writer: Any = None
        self._end = 0

    def missing_bytes(self, estimate: int | None) -> int:
        """The bytes that the files still take, by an estimate of their whole size."""
        written = sum(path.stat().st_size for path in _shards(self._folder))
        return max(0, (estimate or 0) - written)

    def open(self) -> None:
        """Find the files that an earlier process left; new records go into new ones."""
        found = _shards(self._folder)
        self._paths = [path for number, path in enumerate(found) if path.name == _name(number)]
        for path in found[len(self._paths) :]:  # one before them was removed
            path.unlink()

    def read(self, shard: int, offset: int, into: Pixels) -> bool:
        """Fill `into` from an offset in a shard; False if the shard ends before."""
        try:
            file = os.open(self._paths[shard], os.O_RDONLY | os.O_CLOEXEC)
        except (IndexError, OSError):
            return False
        try:
            return read_into(file, into, offset)
        finally:
            os.close(file)

    def write(self, row: int, data: Pixels, label: int) -> tuple[int, int]:
        """Append a JPEG; returns its shard and the offset of its bytes.

        Raises:
            OSError: the disk is full, or another error of the system.
        """
        jpeg = data.tobytes()
        record = _example(jpeg, label, row)
        with self._lock, system_errors_of_tensorflow():
            if self._writer is None or self._end > SHARD_BYTES:
                self._start_shard()
            self._writer.write(record)
            # A record is its length (8 bytes), the length's checksum (4), its data, and its
            # checksum (4).
            offset = self._end + 12 + record.index(jpeg)
            self._end += 16 + len(record)
            return len(self._paths) - 1, offset

    def holds(self, entries: NDArray[Any]) -> Mask:
        """Which entries lie inside a file."""
        sizes = np.array([path.stat().st_size for path in self._paths] + [0], np.int64)
        shards, offsets, lengths = (entries[name] for name in ("shard", "offset", "length"))
        known = (shards >= 0) & (shards < len(self._paths)) & (offsets >= 0) & (lengths > 0)
        inside: Mask = known & (offsets + lengths <= sizes[np.where(known, shards, -1)])
        return inside

    def drop(self, entries: NDArray[Any], bad: Mask) -> Mask:
        """End each file before the first of its bad entries; return which are lost by that.

        A record cannot be replaced in its middle, and other readers must not find two of one row.
        """
        lost, ends = bad.copy(), entries["offset"] + entries["length"]
        by_shard = np.argsort(entries["shard"], kind="stable")  # once: there are thousands of files
        begins = np.searchsorted(entries["shard"][by_shard], np.arange(len(self._paths) + 1))
        for path, begin, end in zip(self._paths, begins, begins[1:], strict=False):
            own = by_shard[begin:end]
            good, own_bad = own[~bad[own]], own[bad[own]]
            last = int(ends[good].max(initial=0))
            first_bad = int(entries["offset"][own_bad].min(initial=_NEVER))
            size = _end_of_frames(path, last, first_bad)
            os.truncate(path, size)
            lost[own] |= ends[own] > size
        return lost

    def finish(self) -> tuple[str, ...]:
        """Give all shards their final names and return these.

        Raises:
            OSError: the disk is full, or another error of the system.
        """
        self.close()
        final = [path.with_name(path.name.removesuffix(PARTIAL)) for path in self._paths]
        for path, name in zip(self._paths, final, strict=True):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.replace(name)
        return tuple(path.name for path in final)

    def close(self) -> None:
        """Close the shard that is being written.

        Raises:
            OSError: the disk is full, or another error of the system.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            with system_errors_of_tensorflow():
                writer.close()

    def _start_shard(self) -> None:
        import tensorflow as tf

        self.close()
        path = self._folder / _name(len(self._paths))
        self._writer = tf.io.TFRecordWriter(str(path))
        self._paths.append(path)
        self._end = 0


def _name(number: int) -> str:
    return f"images-{number:05}.tfrecord{PARTIAL}"


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("images-*.tfrecord" + PARTIAL))


@contextmanager
def system_errors_of_tensorflow() -> Iterator[None]:
    """Raise TensorFlow's errors as what they are: a full disk, or another error of the system."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message.splitlines()[0]) from error


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


def _end_of_frames(path: Path, last: int, first_bad: int) -> int:
    """Where to end a TFRecord file: after whole records only, the last of which holds byte `last`.

    Args:
        first_bad: a byte that the file must not hold.
    """
    size, end = path.stat().st_size, 0
    with path.open("rb") as file:
        while end < last and end + 16 <= size:
            file.seek(end)
            after = end + 16 + int.from_bytes(file.read(8), "little")
            if after > min(size, first_bad):
                break
            end = after
    return end
