"""Size and modification time of files: whether they are still those that were seen before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.address import stamp_of
from feedbench.loaders.manifest import AUDIT, Manifest
from feedbench.loaders.order import Rows

Stamps = NDArray[Any]  # of STAMP
STAMP = np.dtype([("bytes", "<i8"), ("modified_ns", "<i8")])
NO_FILE = -1  # as `bytes`
# With more rows, so many random ones are looked at. A change of one file in 100,000 is then missed
# with a probability of exp(-10) = 0.00005, and every run looks at other files.
_CHECKED_ROWS = 1_000_000
_THREADS, _CHUNK = 16, 256  # network file systems answer many requests at once


def file_stamps(manifest: Manifest, rows: Rows) -> Stamps:
    """The stamps of some rows' files as they are now; `bytes` is NO_FILE where there is none."""
    stamps = np.empty(len(rows), STAMP)

    def look(begin: int) -> None:
        paths = manifest.paths(rows[begin : begin + _CHUNK])
        stamps[begin : begin + len(paths)] = [_stamp(path) for path in paths]

    with ThreadPoolExecutor(_THREADS, "feedbench-stat") as pool:
        for _ in pool.map(look, range(0, len(rows), _CHUNK)):
            pass
    return stamps


def file_sizes(manifest: Manifest, rows: Rows) -> NDArray[np.int64]:
    """The bytes of some rows' files, int64 `[rows]`; 0 where there is none."""
    sizes: NDArray[np.int64] = np.maximum(file_stamps(manifest, rows)["bytes"], 0)
    return sizes


def _stamp(path: bytes) -> tuple[int, int]:
    try:
        return stamp_of(path)
    except OSError:
        return NO_FILE, NO_FILE


def audited_stamps(manifest: Manifest, rows: Rows) -> Stamps:
    """The stamps of some rows' files when a scan read them; NO_FILE where none did."""
    stamps = np.full(len(rows), NO_FILE, STAMP)
    if manifest.audited:
        for name in STAMP.names or ():
            column = manifest.table[name].take(pa.array(rows))
            stamps[name] = pc.fill_null(column, NO_FILE).to_numpy()
    return stamps


def rows_to_check(manifest: Manifest) -> Rows:
    """The rows whose files a run looks at: all, or of very many a random sample, sorted."""
    if len(manifest) <= _CHECKED_ROWS:
        return np.arange(len(manifest))
    sample = np.random.default_rng().choice(len(manifest), _CHECKED_ROWS, replace=False)
    return np.sort(sample)


def without_stale_facts(manifest: Manifest) -> Manifest:
    """The manifest with nulls in the audit's columns where a file is not the one it read.

    Facts of a file that no longer exists are kept: whatever reads it fails by itself.
    """
    if not manifest.audited:
        return manifest
    rows = rows_to_check(manifest)
    now, then = file_stamps(manifest, rows), audited_stamps(manifest, rows)
    stale = rows[(now["bytes"] != NO_FILE) & (then["bytes"] != NO_FILE) & (now != then)]
    if not len(stale):
        return manifest
    valid = np.ones(len(manifest), np.bool_)
    valid[stale] = False
    table = manifest.table
    for name in AUDIT.names:
        column = pc.if_else(pa.array(valid), table[name], pa.scalar(None, AUDIT.field(name).type))
        table = table.set_column(table.column_names.index(name), AUDIT.field(name), column)
    return replace(manifest, table=table.combine_chunks())


def unscanned_rows(manifest: Manifest) -> Rows:
    """The rows of a scanned manifest whose files the scan has not read, int64."""
    unread = pc.is_null(manifest.table[AUDIT.names[0]])
    return np.flatnonzero(unread.combine_chunks().to_numpy(zero_copy_only=False))
