"""Finds the record in a folder or file, by the names and fields of its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from feedbench.bench.errors import RecordError
from feedbench.bench.results import read
from feedbench.bench.results.kinds import Result


@dataclass(frozen=True)
class Kind:
    """A kind of record.

    Attributes:
        command: the command that writes it.
        read: reads a record and derives its figures.
        fields: JSON fields that identify the record in a file of any name; empty if the record
            needs other files in its folder.
    """

    command: str
    read: Callable[[Path], Result]
    fields: frozenset[str] = frozenset()


KINDS = {
    "limits-record.json": Kind("limits", read.read_limits),
    "diagnosis-record.json": Kind(
        "diagnose", read.read_diagnosis, frozenset({"parts", "cache_state"})
    ),
    "tune.json": Kind("tune", read.read_tune, frozenset({"about", "findings"})),
    "study.json": Kind("study", read.read_study, frozenset({"effects", "confidence"})),
    "fit.json": Kind("fit", read.read_fit),
    "trials.jsonl": Kind("bench", read.read_bench),
    "summary.json": Kind("bench", read.read_summary, frozenset({"trials", "winner"})),
    "training.json": Kind("train", read.read_training, frozenset({"epochs", "promise"})),
    "pixels.json": Kind("pixels", read.read_pixels, frozenset({"reference", "loaders"})),
    "selftest.json": Kind("selftest", read.read_self_test, frozenset({"cases"})),
    "compare.json": Kind(
        "compare", read.read_comparison, frozenset({"is_paired", "runs", "pairs"})
    ),
    "scan.json": Kind("scan", read.read_scan, frozenset({"counts", "problems", "few_images"})),
    "plan.json": Kind("plan", read.read_plan, frozenset({"needs", "shards"})),
    # What --json saved of other commands, under any name.
    "limits.json": Kind("limits", read.read_derived_limits, frozenset({"limits", "loaders"})),
    "diagnosis.json": Kind(
        "diagnose", read.read_derived_diagnosis, frozenset({"verdict", "ceilings"})
    ),
    "checks.json": Kind("selftest", read.read_checks, frozenset({"checks"})),
    "batch-size.json": Kind(
        "batch-size", read.read_batch_sizes, frozenset({"tried", "memory_bytes"})
    ),
    "profile.json": Kind(
        "calibrate", read.read_profile, frozenset({"device", "precision", "source"})
    ),
    "loader.toml": Kind("train", read.read_unfinished_training),
}

# Files of folders that hold no result, and what such a folder is.
_OTHER_FOLDERS = {
    "pack.json": "a pack of prepared images; check it with feedbench pack",
    "study.toml": "a study that is not finished; resume it with feedbench study --resume",
}


def find_record(path: Path) -> tuple[Path, Kind]:
    """Return the file of a record and its kind.

    Args:
        path: the file, or a folder; if it has several records, the first of `KINDS` is used.

    Raises:
        RecordError: there is no record.
    """
    if record := record_in(path):
        return record
    if path.is_dir():
        for name, what in _OTHER_FOLDERS.items():
            if (path / name).is_file():
                raise RecordError(f"{path}: {what}")
    elif path.name in KINDS:
        return path, KINDS[path.name]
    elif kind := _kind_by_fields(path):
        return path, kind
    if not path.exists():
        raise RecordError(f"{path}: no such folder or file; name the folder of a run")
    known = ", ".join(f"{name} ({kind.command})" for name, kind in KINDS.items())
    raise RecordError(
        f"{path}: no record to show; give the folder of a run, or a file with one of: {known}"
    )


def read_result(path: Path) -> Result:
    """Read the record in a folder or file.

    Raises:
        RecordError: there is no record, or it is not valid.
    """
    file, kind = find_record(path)
    return kind.read(file)


def find_runs(folder: Path) -> list[tuple[Path, Kind]]:
    """Return the records in the subfolders of a folder, at most two levels down."""
    folders = sorted(path for level in ("*", "*/*") for path in folder.glob(level))
    return [record for path in folders if (record := record_in(path))]


def find_saved(folder: Path) -> list[tuple[Path, Kind]]:
    """Return the records under other names, in folders without a main record; as deep as runs.

    Such files were written by `--json`.
    """
    levels = ("*.json", "*/*.json", "*/*/*.json")
    files = sorted(path for level in levels for path in folder.glob(level))
    others = [path for path in files if path.name not in KINDS and not record_in(path.parent)]
    return [(path, kind) for path in others if (kind := _kind_by_fields(path))]


def place_of(record: Path) -> Path:
    """Return what to give a command for a record: its folder, or the file under another name."""
    return record.parent if record.name in KINDS else record


def record_in(folder: Path) -> tuple[Path, Kind] | None:
    """Return the first of `KINDS` in a folder; None if it has none, or is no folder."""
    records = ((folder / name, kind) for name, kind in KINDS.items() if (folder / name).is_file())
    return next(records, None)


def _kind_by_fields(path: Path) -> Kind | None:
    """Return the kind of a JSON file of any name, such as one from `pixels --json`."""
    try:
        fields = set(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    kinds = (kind for kind in KINDS.values() if kind.fields and kind.fields <= fields)
    return next(kinds, None)
