"""Parquet files with images as bytes, as Hugging Face stores data sets."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feedbench.loaders.containers.columns import (
    Columns,
    base_names,
    find_columns,
    label_texts,
)
from feedbench.loaders.containers.entries import Entry, Hints, Listing, listing
from feedbench.loaders.containers.hints import read_hints
from feedbench.loaders.containers.pages import values
from feedbench.loaders.errors import SourceError, printable


def has_images(path: Path) -> bool:
    """Whether a Parquet file has columns of images and classes, and is no manifest."""
    try:
        with path.open("rb") as file:  # Arrow itself takes no name that is not UTF-8
            schema = pq.read_schema(file)
        find_columns(path, schema, read_hints(path.parent, path.parent))
    except (OSError, pa.ArrowException, SourceError):
        return False
    return b"feedbench" not in (schema.metadata or {})


def list_parquet(path: Path, hints: Hints) -> Listing:
    """The images of a Parquet file.

    Raises:
        SourceError: it is damaged, or has no image or label that can be found.
    """
    try:
        with path.open("rb") as file, pq.ParquetFile(file) as parquet:
            columns = find_columns(path, parquet.schema_arrow, hints)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                entries = list(_entries(data, parquet, columns))
            return listing(entries, columns.classes)
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError) as error:
        reason = printable((str(error) or type(error).__name__).splitlines()[0])
        raise SourceError(
            f"{path}: cannot be listed: {reason}; copy the file again or remove it"
        ) from error


def _entries(data: mmap.mmap, parquet: Any, columns: Columns) -> Iterator[Entry]:
    number, levels = _column(parquet, columns)
    names = [f"{columns.image}.path"] if columns.has_path else []
    with memoryview(data) as view:
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group, columns=[columns.label, *names])
            labels = label_texts(table[columns.label])
            found = _names(table, columns) if names else [b""] * len(labels)
            places = values(view, parquet.metadata.row_group(group).column(number), levels)
            for name, label, place in zip(found, labels, places, strict=True):
                yield Entry(name, place.offset, place.length, label, *place[2:])


def _column(parquet: Any, columns: Columns) -> tuple[int, int]:
    """Number and largest definition level of the column with the bytes."""
    name = f"{columns.image}.bytes" if columns.is_struct else columns.image
    for number in range(len(parquet.schema)):
        column = parquet.schema.column(number)
        if column.path == name and not column.max_repetition_level:
            return number, column.max_definition_level
    raise ValueError(f"column {name} is missing or nested")


def _names(table: pa.Table, columns: Columns) -> list[bytes]:
    return base_names(table[columns.image].combine_chunks().field("path"))
