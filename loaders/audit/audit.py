"""The audit: every file opened and decoded once, what was found kept, only changed files again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.audit.pool import probe_all
from feedbench.loaders.audit.probe import Limits
from feedbench.loaders.audit.store import FACTS, Store
from feedbench.loaders.manifest import AUDIT, SCHEMA, Manifest

Advance = Callable[[int], None]
_PIECE = 4096  # paths that are Python objects at a time


def audit(
    manifest: Manifest,
    store: Store,
    limits: Limits,
    *,
    processes: int,
    start: Callable[[int], Advance],
) -> Manifest:
    """The manifest with all that is known of its files, which is kept in the store.

    What an earlier audit found holds while a file's size and time are the same. An audit that is
    interrupted or killed has kept what it found up to a second before.

    Args:
        processes: files that are decoded at once.
        start: called with the number of files to read; gives what to call as they are done.

    Raises:
        SourceError: the store cannot be written, or the audit's processes do not start.
    """
    store.begin(limits)
    kept = store.facts()
    changed = np.flatnonzero(~_unchanged(manifest, kept))
    advance = start(len(changed))
    if len(changed):
        results = probe_all(_files(manifest, changed), limits, processes, store.log)
        with store.journal() as journal, closing(results):
            for row, facts in results:
                journal.add({"path": manifest.name(row), **facts})
                advance(1)
        kept = store.facts()
    audited = attach(manifest, kept)
    store.keep(audited.table.select(FACTS.names))
    return audited


def attach(manifest: Manifest, facts: pa.Table) -> Manifest:
    """The manifest with the columns of `AUDIT`; null in rows of which nothing is known."""
    found = facts.take(pc.index_in(_names(manifest), facts["path"]))
    columns = [manifest.table[name] for name in SCHEMA.names]
    columns += [found[name] for name in AUDIT.names]
    table = pa.table(columns, schema=pa.schema([*SCHEMA, *AUDIT]))
    return replace(manifest, table=table.combine_chunks())


def _names(manifest: Manifest) -> pa.Array:
    return manifest.table["path"].combine_chunks()


def _files(manifest: Manifest, rows: NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    for begin in range(0, len(rows), _PIECE):
        piece = rows[begin : begin + _PIECE]
        yield from zip(piece.tolist(), manifest.paths(piece), strict=True)


def _unchanged(manifest: Manifest, kept: pa.Table) -> NDArray[np.bool_]:
    """Which rows' files have the size and the time that they had when they were read."""
    known = kept.select(["bytes", "modified_ns"])
    known = known.take(pc.index_in(_names(manifest), kept["path"]))
    sizes = pc.fill_null(known["bytes"], -1).to_numpy()
    times = pc.fill_null(known["modified_ns"], -1).to_numpy()
    same = np.zeros(len(manifest), np.bool_)
    for row, path in _files(manifest, np.flatnonzero(sizes >= 0)):
        same[row] = _stamp(path) == (sizes[row], times[row])
    return same


def _stamp(path: bytes) -> tuple[int, int]:
    try:
        about = os.stat(path)
    except OSError:
        return 0, 0  # as a file that could not be asked is kept
    return about.st_size, about.st_mtime_ns
