"""Class folders in object storage as rows of a manifest, page by page."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feedbench.loaders.containers.listing import in_folders
from feedbench.loaders.errors import SourceError, SourceWarning
from feedbench.loaders.litter import is_in_litter, is_litter
from feedbench.loaders.manifest import PATH, SCHEMA, VERSION
from feedbench.loaders.remote.calls import threads
from feedbench.loaders.remote.path import RemotePath
from feedbench.loaders.remote.store import Listed

Advance = Callable[[int], None]
_THREADS = 16  # folders that are listed at once: a page of 1,000 objects takes some 0.1 s
ROWS = pa.schema([*SCHEMA, VERSION])


class ClassFolder(NamedTuple):
    """A folder of one class: its path below the root, its label and its split."""

    name: str
    label: int
    split: int


@contextmanager
def stated(path: object) -> Iterator[None]:
    """State a failure to list in one line."""
    try:
        yield
    except OSError as error:
        raise SourceError(f"{path}: cannot be listed: {error.strerror or error}") from error


def folders_in(root: RemotePath) -> list[str]:
    """The names of the folders in a prefix, sorted; a folder without a name is left out."""
    names = [name for page in root.pages() for name in page.folders]
    if "" in names:
        warnings.warn(
            f"{root}//: the objects behind two slashes are in a folder without a name, and are "
            "not listed; move them",
            SourceWarning,
            stacklevel=2,
        )
    return sorted(name for name in names if name and not is_litter(name.encode()))


def rows_of(root: RemotePath, folders: list[ClassFolder], advance: Advance) -> list[pa.RecordBatch]:
    """The rows of each folder, with the version of each object.

    Raises:
        OSError: the storage does not answer, or denies access.
    """
    with threads(_THREADS, "feedbench-list") as (pool, is_over):
        return list(pool.map(lambda folder: _rows(root, folder, advance, is_over), folders))


def _rows(
    root: RemotePath, folder: ClassFolder, advance: Advance, is_over: Callable[[], bool]
) -> pa.RecordBatch:
    chunks = []
    for page in (root / folder.name).pages(flat=True, is_cancelled=is_over):
        objects = [one for one in page.objects if not is_in_litter(one.name.encode())]
        chunks.append(_chunk(folder, objects))
        advance(len(objects))
    table = _in_order(pa.Table.from_batches(chunks, ROWS))
    return table.combine_chunks().to_batches()[0] if len(table) else _chunk(folder, [])


def _chunk(folder: ClassFolder, objects: list[Listed]) -> pa.RecordBatch:
    return pa.record_batch(
        [
            pa.array([f"{folder.name}/{one.name}".encode() for one in objects], PATH),
            pa.array(np.full(len(objects), folder.label, np.int32)),
            pa.array(np.full(len(objects), folder.split, np.int8)),
            pa.array([one.version.encoded() for one in objects], PATH),
        ],
        schema=ROWS,
    )


def _in_order(table: pa.Table) -> pa.Table:
    """The rows as the same files on a disk are listed: those in a folder before its folders."""
    depths = pc.count_substring(table["path"], "/")
    if pc.min(depths) == pc.max(depths):
        return table  # storage lists names in the order of their bytes
    names = table["path"].to_pylist()
    order = sorted(range(len(names)), key=lambda row: in_folders(names[row]))
    return table.take(pa.array(order))
