"""Parquet files with images as bytes, as Hugging Face stores data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feedbench.loaders.containers.columns import (
    Columns,
    base_names,
    find_columns,
    is_image,
    label_texts,
)
from feedbench.loaders.containers.entries import Entry, Hints, Listing, listing
from feedbench.loaders.containers.footer import chunks_of
from feedbench.loaders.containers.mapped import mapped
from feedbench.loaders.containers.pages import NoValue, values
from feedbench.loaders.errors import SourceError, printable

# What Arrow, and the structures that are read here, raise for damaged bytes.
_DAMAGE = (
    pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError,
    RecursionError,
)  # fmt: skip


def has_images(path: Path) -> bool:
    """Whether a Parquet file has a column of bytes, and is no manifest.

    Raises:
        SourceError: it is neither.
    """
    try:
        with path.open("rb") as file:  # Arrow itself takes no name that is not UTF-8
            schema = pq.read_schema(file)
    except (OSError, ValueError, pa.ArrowException):  # names of columns may be damaged
        return False
    if b"feedbench" in (schema.metadata or {}):
        return False
    if not any(is_image(field.type) for field in schema):
        columns = printable(", ".join(f"{field.name} ({field.type})" for field in schema))
        raise SourceError(
            f"{path}: no column holds the bytes of images, and it is no Feedbench manifest; its "
            f"columns are {columns}"
        )
    return True


def list_parquet(path: Path, hints: Hints) -> Listing:
    """The images of a Parquet file.

    Raises:
        SourceError: it is damaged, or has no image or label that can be found.
    """
    try:
        with path.open("rb") as file, pq.ParquetFile(file) as parquet:
            columns = find_columns(path, parquet.schema_arrow, hints)
            return listing(_entries(path, parquet, columns), columns.classes)
    except _DAMAGE as error:
        reason = printable((str(error) or type(error).__name__).splitlines()[0])
        raise SourceError(
            f"{path}: cannot be listed: {reason}; copy the file again or remove it"
        ) from error


def _entries(path: Path, parquet: Any, columns: Columns) -> Iterator[Entry]:
    data, first = mapped(path), 0
    number, levels = _column(parquet, columns)
    names = [f"{columns.image}.path"] if columns.has_path else []
    for group, chunk in enumerate(chunks_of(data, number)):
        table = parquet.read_row_group(group, columns=[columns.label, *names])
        labels = label_texts(path, table[columns.label], first)
        found = _names(table, columns) if names else [b""] * len(labels)
        places = values(data, chunk, levels)
        try:
            for name, label, place in zip(found, labels, places, strict=True):
                yield Entry(name, place.offset, place.length, label, *place[2:])
        except NoValue as error:
            raise SourceError(
                f"{path}:{first + error.row}: its image is not in the file, but elsewhere or "
                "missing; write the file without such rows, or with the bytes of all images"
            ) from error
        first += len(labels)


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
