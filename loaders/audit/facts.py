"""The audit: every file is decoded once and its facts are kept; later only changed files are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.address import stamp_of
from feedbench.loaders.audit.pool import probe_all
from feedbench.loaders.audit.probe import ProbeLimits
from feedbench.loaders.audit.store import Store
from feedbench.loaders.manifest import AUDIT, EXTENT, SCHEMA, VERSION, Manifest, first_of_each

Advance = Callable[[int], None]
_CHUNK = 4096  # paths that are Python objects at a time


def audit(
    manifest: Manifest,
    store: Store,
    limits: ProbeLimits,
    *,
    processes: int,
    start: Callable[[int], Advance],
) -> Manifest:
    """The manifest with the facts of its files, which are also kept in the store.

    Facts of an earlier audit are valid as long as a file's size and modification time are the same.
    An audit that is interrupted or killed keeps its facts up to a second before.

    Args:
        processes: files to decode in parallel.
        start: called with the number of files to read; returns a function to call with the number
            of files that were read since the last call.

    Raises:
        SourceError: the store cannot be written, or the audit's processes do not start.
    """
    store.begin(limits)
    changed = np.flatnonzero(_to_read(manifest, store.facts()))
    advance = start(len(changed))
    if len(changed):
        results = probe_all(_files(manifest, changed), limits, processes, store.log)
        with store.journal() as journal, closing(results):
            for row, new_facts in results:
                journal.add({"path": manifest.name(row), **new_facts})
                advance(1)
    return attach(manifest, store.keep_only(manifest.table["path"]))


def attach(manifest: Manifest, facts: pa.Table) -> Manifest:
    """The manifest with the columns of `AUDIT`; null in rows without facts."""
    by_row = facts.take(pc.index_in(manifest.table["path"], facts["path"]))
    places = [field for field in (EXTENT, VERSION) if field.name in manifest.table.column_names]
    listed = [*SCHEMA, *places]
    columns = [manifest.table[field.name] for field in listed]
    columns += [by_row[name] for name in AUDIT.names]
    table = pa.table(columns, schema=pa.schema([*listed, *AUDIT]))
    return replace(manifest, table=table.combine_chunks())


def _files(manifest: Manifest, rows: NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    for begin in range(0, len(rows), _CHUNK):
        chunk = rows[begin : begin + _CHUNK]
        yield from zip(chunk.tolist(), manifest.paths(chunk), strict=True)


def _to_read(manifest: Manifest, facts: pa.Table) -> NDArray[np.bool_]:
    """Rows to read: each file once, unless its facts are known."""
    first: NDArray[np.bool_] = first_of_each(manifest.table["path"])
    return first & ~_unchanged(manifest, facts)


def _unchanged(manifest: Manifest, facts: pa.Table) -> NDArray[np.bool_]:
    """Which rows' files have the same size and modification time as when they were read."""
    stamps = facts.select(["bytes", "modified_ns"])
    stamps = stamps.take(pc.index_in(manifest.table["path"], facts["path"]))
    sizes = pc.fill_null(stamps["bytes"], -1).to_numpy()
    times = pc.fill_null(stamps["modified_ns"], -1).to_numpy()
    unchanged = np.zeros(len(manifest), np.bool_)
    for row, path in _files(manifest, np.flatnonzero(sizes >= 0)):
        unchanged[row] = _stamp(path) == (sizes[row], times[row])
    return unchanged


def _stamp(path: bytes) -> tuple[int, int]:
    try:
        return stamp_of(path)
    except OSError:
        return 0, 0  # the facts of a file without a status hold the same
