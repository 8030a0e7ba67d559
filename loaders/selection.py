"""Which rows a run uses: those that its decoders can read, unless a blacklist overrides it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from feedbench.loaders.capabilities import AuditColumn
from feedbench.loaders.errors import SourceError
from feedbench.loaders.manifest import BLACKLIST, PATH, Manifest

COLUMNS = ("path", "use", "reason")
_NAMES: dict[AuditColumn, str] = {"pillow": "Pillow", "tensorflow": "TensorFlow"}


def usable(
    manifest: Manifest, readable_by: Iterable[tuple[AuditColumn, ...]]
) -> tuple[Manifest, pa.Table]:
    """The rows that several loaders can all give, and `path, reason` of the others.

    Rows that no audit has seen are believed.

    Args:
        readable_by: each loader's `readable_by`, the decoders of which one must read a row.

    Raises:
        SourceError: no row is left.
    """
    reasons = _reasons(manifest, readable_by)
    left_out = pa.table({"path": manifest.table["path"], "reason": reasons})
    left_out = left_out.filter(pc.is_valid(reasons))
    if not len(left_out):
        return manifest, left_out
    kept = manifest.where(pc.is_null(reasons))
    if not len(kept):
        raise SourceError(f"{manifest.root}: none of its {len(manifest):,} images can be read")
    return kept, left_out


def by_reason(left_out: pa.Table) -> dict[str, int]:
    """The number of rows for each reason, most frequent first."""
    counts = pc.value_counts(left_out["reason"]).to_pylist()
    counts.sort(key=lambda entry: (-entry["counts"], entry["values"]))
    return {entry["values"]: entry["counts"] for entry in counts}


def bad_rows(manifest: Manifest) -> pa.Table:
    """`path, reason` of what Pillow cannot read, or the blacklist leaves out."""
    reasons = _reasons(manifest, [("pillow",)])
    table = pa.table({"path": manifest.table["path"], "reason": reasons})
    return table.filter(pc.is_valid(reasons))


def _reasons(manifest: Manifest, readable_by: Iterable[tuple[AuditColumn, ...]]) -> Any:
    """Why each row is left out; null if it is used."""
    reasons: Any = pa.nulls(len(manifest), pa.string())
    if manifest.audited:
        for columns in sorted({one for one in readable_by if one}):
            reasons = pc.coalesce(reasons, _unread(manifest.table, columns))
    if BLACKLIST not in manifest.table.column_names:
        return reasons
    verdict = manifest.table[BLACKLIST]
    wanted = pc.if_else(pc.equal(verdict, ""), pa.scalar(None, pa.string()), verdict)
    return pc.if_else(pc.is_valid(verdict), wanted, reasons)


def _unread(table: pa.Table, columns: tuple[AuditColumn, ...]) -> Any:
    """The last decoder's words where none of them reads a row; null elsewhere."""
    *others, last = columns
    words = pc.binary_join_element_wise(_NAMES[last], table[last], ": ")
    for other in others:
        words = pc.if_else(pc.is_valid(table[other]), words, pa.scalar(None, pa.string()))
    return words


def with_blacklist(manifest: Manifest, path: Path) -> Manifest:
    """The manifest with the rules of a CSV of `path,use,reason`, which override the audit.

    `use` is yes or no; rows that are not in the CSV are used if the audit could read them.

    Raises:
        SourceError: the CSV cannot be read, or names an image that is not in the manifest.
    """
    rules = _read(path)
    names = pa.array([os.fsencode(name) for name in rules], PATH)
    rows = pc.index_in(names, manifest.table["path"])
    for name, row in zip(rules, rows.to_pylist(), strict=True):
        if row is None:
            raise SourceError(f"{path}: no image {name!r} in {manifest.root}; fix or remove it")
    table = manifest.table
    if BLACKLIST in table.column_names:
        table = table.drop_columns(BLACKLIST)
    # By row: a CSV may list a file several times, and a rule is for all of them.
    of_row = pc.index_in(table["path"], names).combine_chunks()
    column = pa.array(list(rules.values()), pa.string()).take(of_row)
    return replace(manifest, table=table.append_column(BLACKLIST, column))


def _read(path: Path) -> dict[str, str]:
    """The rule for each path: empty to use it, else the reason to leave it out."""
    rules = {}
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; name a CSV of path,use,reason") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not {"path", "use"} <= set(reader.fieldnames or ()):
        raise SourceError(f"{path}: must be a CSV of path,use,reason, as written by scan --bad")
    for number, line in enumerate(reader, 1):
        if line["use"] not in ("yes", "no"):
            raise SourceError(f"{path}: row {number}: use must be yes or no, got {line['use']!r}")
        reason = line.get("reason") or "no reason given"
        rules[line["path"]] = "" if line["use"] == "yes" else f"blacklist: {reason}"
    return rules


def blacklist_of(bad: pa.Table) -> str:
    """The text of a CSV that `with_blacklist` reads, with the rows of `bad_rows`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for batch in bad.to_batches(max_chunksize=4096):
        for name, reason in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            writer.writerow((os.fsdecode(name), "no", reason))
    return text.getvalue()
