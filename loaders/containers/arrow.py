"""Arrow IPC files, as `Dataset.save_to_disk` of Hugging Face writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feedbench.loaders.containers.columns import Columns, base_names, find_columns, label_texts
from feedbench.loaders.containers.entries import Entry, Hints, Listing, damaged, listing
from feedbench.loaders.containers.mapped import mapped
from feedbench.loaders.errors import SourceError, printable

_FILE = b"ARROW1"  # begins a file with a footer; a stream has no signature


def list_arrow(path: Path, hints: Hints) -> Listing:
    """The images of an Arrow file or stream.

    Raises:
        SourceError: it is damaged, compressed, or has no image or label that can be found.
    """
    try:
        whole = pa.py_buffer(mapped(path))
        reader = _open(whole)
        columns = find_columns(path, reader.schema, hints)
        return listing(_entries(path, whole, _batches(reader), columns), columns.classes)
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        reason = printable((str(error) or type(error).__name__).splitlines()[0])
        raise SourceError(
            f"{path}: cannot be listed: {reason}; copy the file again or remove it"
        ) from error


def _open(whole: pa.Buffer) -> Any:
    if whole[: len(_FILE)].to_pybytes() == _FILE:
        return pa.ipc.open_file(whole)
    return pa.ipc.open_stream(whole)


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        yield from reader


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
            raise damaged(path, str(at), "its image is not in the file, but elsewhere or missing")
        begins = _begins(path, whole, data)
        for row, (name, label) in enumerate(zip(names, labels, strict=True)):
            begin = int(begins[row])
            yield Entry(name, begin, int(begins[row + 1]) - begin, label)
        number += len(batch)


def _begins(path: Path, whole: pa.Buffer, data: pa.Array) -> NDArray[np.int64]:
    """Where in the file each value begins, and the last one ends."""
    kind = np.int64 if pa.types.is_large_binary(data.type) else np.int32
    _, offsets, values = data.buffers()
    ends = np.frombuffer(offsets, kind)[data.offset : data.offset + len(data) + 1]
    begin = values.address - whole.address if values else 0
    if not 0 <= begin <= whole.size:
        raise SourceError(
            f"{path}: its batches are compressed, so that no image in it can be read alone; write "
            "it without compression"
        )
    return ends.astype(np.int64) + begin
