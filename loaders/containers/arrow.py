"""Arrow IPC files, as `Dataset.save_to_disk` of Hugging Face writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feedbench.loaders.containers.columns import Columns, base_names, find_columns, label_texts
from feedbench.loaders.containers.entries import Entry, Hints, Listing, listing
from feedbench.loaders.containers.mapped import mapped
from feedbench.loaders.errors import SourceError, printable

_FILE = b"ARROW1"  # begins a file with a footer; a stream has no signature
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream; Source: Arrow's "IPC Streaming Format"
# A value of up to `_SHORT` bytes stands in its view, behind its length; others are in a buffer.
# Source: Arrow's "Variable-size Binary View Layout".
_VIEW = np.dtype([("length", "<i4"), ("prefix", "<i4"), ("buffer", "<i4"), ("offset", "<i4")])
_SHORT, _INLINE = 12, 4
_Numbers = NDArray[np.int64]


def list_arrow(path: Path, hints: Hints) -> Listing:
    """The images of an Arrow file or stream.

    Raises:
        SourceError: it is damaged, compressed, or has no image or label that can be found.
    """
    try:
        whole = pa.py_buffer(mapped(path))
        is_file = whole[: len(_FILE)].to_pybytes() == _FILE
        source = pa.BufferReader(whole)
        reader = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source)
        columns = find_columns(path, reader.schema, hints)
        batches = _of_file(reader) if is_file else _of_stream(reader, source, whole)
        return listing(_entries(path, whole, batches, columns), columns.classes)
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        reason = printable((str(error) or type(error).__name__).splitlines()[0])
        raise SourceError(
            f"{path}: cannot be listed: {reason}; copy the file again or remove it"
        ) from error


def _of_file(reader: Any) -> Iterator[pa.RecordBatch]:
    return (reader.get_batch(index) for index in range(reader.num_record_batches))


def _of_stream(reader: Any, source: Any, whole: pa.Buffer) -> Iterator[pa.RecordBatch]:
    """All batches, to the mark that ends a stream: pyarrow takes the end of the file for it."""
    yield from reader
    if source.tell() < whole.size:
        raise ValueError("another stream follows the first")
    if whole[-len(_END) :].to_pybytes() != _END:
        raise ValueError("it ends too early, without the mark that ends a stream")


def _entries(
    path: Path, whole: pa.Buffer, batches: Iterator[pa.RecordBatch], columns: Columns
) -> Iterator[Entry]:
    number = 0
    for batch in batches:
        batch = batch.select([columns.image, columns.label])
        batch.validate(full=True)  # offsets beyond a buffer would crash the process
        images = batch.column(columns.image)
        data = images.field("bytes") if columns.is_struct else images
        names = base_names(images.field("path")) if columns.has_path else [b""] * len(batch)
        labels = label_texts(path, batch.column(columns.label), number)
        missing = data.is_null().to_numpy(zero_copy_only=False)
        if missing.any():
            at = number + int(np.argmax(missing))
            raise SourceError(
                f"{path}:{at}: its image is not in the file, but elsewhere or missing; write the "
                "file without such rows, or with the bytes of all images"
            )
        begins, lengths = _places(path, whole, data)
        for row, (name, label) in enumerate(zip(names, labels, strict=True)):
            yield Entry(name, int(begins[row]), int(lengths[row]), label)
        number += len(batch)


def _places(path: Path, whole: pa.Buffer, data: pa.Array) -> tuple[_Numbers, _Numbers]:
    """Where in the file each value begins, and how long it is."""
    if pa.types.is_binary_view(data.type):
        return _of_views(path, whole, data)
    kind = np.int64 if pa.types.is_large_binary(data.type) else np.int32
    _, offsets, values = data.buffers()
    ends = np.frombuffer(offsets, kind)[data.offset : data.offset + len(data) + 1]
    begins = ends[:-1].astype(np.int64) + _begin(path, whole, values)
    return begins, np.diff(ends).astype(np.int64)


def _of_views(path: Path, whole: pa.Buffer, data: pa.Array) -> tuple[_Numbers, _Numbers]:
    """The same of values that stand in one of several buffers, or in the view if they are short."""
    _, buffer, *others = data.buffers()
    views = np.frombuffer(buffer, _VIEW)[data.offset : data.offset + len(data)]
    lengths = views["length"].astype(np.int64)
    rows = np.arange(data.offset, data.offset + len(data), dtype=np.int64)
    within = _begin(path, whole, buffer) + _VIEW.itemsize * rows + _INLINE
    begins = np.array([_begin(path, whole, one) for one in others] or [0], np.int64)
    is_short = lengths <= _SHORT
    elsewhere = begins[np.where(is_short, 0, views["buffer"])] + views["offset"]
    return np.where(is_short, within, elsewhere), lengths


def _begin(path: Path, whole: pa.Buffer, buffer: pa.Buffer | None) -> int:
    """Where in the file a buffer begins."""
    begin: int = buffer.address - whole.address if buffer else 0
    if not 0 <= begin <= whole.size:
        raise SourceError(
            f"{path}: its batches are compressed, so that no image in it can be read alone; write "
            "it without compression"
        )
    return begin
