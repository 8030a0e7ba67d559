"""The audit: every file is decoded once and its facts are kept; later only changed files are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.audit.outage import Outage
from feedbench.loaders.audit.pool import probe_all
from feedbench.loaders.audit.probe import ProbeLimits
from feedbench.loaders.audit.store import Store
from feedbench.loaders.file_stamps import NO_FILE, STAMP, file_stamps
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
        SourceError: the store cannot be written, the audit's processes do not start, or an object
            storage does not answer.
    """
    store.begin(limits)
    changed = np.flatnonzero(_to_read(manifest, store.facts()))
    advance = start(len(changed))
    if len(changed):
        outage = Outage(manifest)
        results = probe_all(_files(manifest, changed), limits, processes, store.log)
        with store.journal() as journal, closing(results):
            for row, new_facts in results:
                journal.add({"path": manifest.name(row), **new_facts})
                advance(1)
                outage.note(new_facts)
    return attach(manifest, store.keep_only(manifest.table["path"]))


def attach(manifest: Manifest, facts: pa.Table) -> Manifest:
    """The manifest with the columns of `AUDIT`; null in rows without facts."""
    is_same = manifest.table["path"].equals(facts["path"])
    by_row = facts if is_same else facts.take(_places(manifest, facts))
    of_place = {EXTENT.name, VERSION.name}
    listed = [*SCHEMA, *(field for field in manifest.table.schema if field.name in of_place)]
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
    unknown = ~_unchanged(manifest, facts)
    if manifest.layout in ("folder", "splits"):  # a folder holds each name once
        return unknown
    first: NDArray[np.bool_] = first_of_each(manifest.table["path"])
    return first & unknown


def _unchanged(manifest: Manifest, facts: pa.Table) -> NDArray[np.bool_]:
    """Which rows' files have the same size and modification time as when they were read."""
    places = _places(manifest, facts)
    known = np.flatnonzero(pc.is_valid(places).to_numpy(zero_copy_only=False))
    then = np.empty(len(known), STAMP)
    for name in STAMP.names or ():
        column = facts[name].take(places.drop_null())
        then[name] = pc.fill_null(column, NO_FILE).to_numpy()
    now = file_stamps(manifest, known)
    now[now["bytes"] == NO_FILE] = 0  # as the facts of a file without a status
    unchanged = np.zeros(len(manifest), np.bool_)
    unchanged[known] = now == then
    return unchanged


def _places(manifest: Manifest, facts: pa.Table) -> pa.Array:
    """The row of each image among the facts; null without one.

    Facts that an audit of the same rows has kept are in their order; else a table of all paths is
    needed, which takes several times their memory.
    """
    given, known = manifest.table["path"], facts["path"]
    if given.equals(known):
        return pa.array(np.arange(len(known)))
    return pc.index_in(given, known).combine_chunks()
