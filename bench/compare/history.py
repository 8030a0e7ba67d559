"""`bench --history`: one line per run in a file that grows with each, to see rates over time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from feedbench.bench.analysis.estimate import Positive
from feedbench.bench.analysis.summary import Summary
from feedbench.bench.compare.subject import ACCELERATOR_COST, device_text
from feedbench.bench.errors import RecordError
from feedbench.bench.files import check_schema, replacing, writer_of
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial
from feedbench.bench.signals import interrupts_deferred
from feedbench.loaders import explain

# The format of a line, by `schema_number`.
# 1  The first.
# 2  Cache state, device, accelerator and model are noted; older lines do not hold them.
SCHEMA_NUMBER = 2
_GROUP = {
    "machine", "rows", "images", "consumer", "spec", "recipe", "device", "accelerator", "model",
    "cache_state",
}  # fmt: skip
_GIT_S = 10.0  # after which a repository counts as none


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HistoryTrial(_Model):
    """One loader with its settings.

    Attributes:
        augment: augmentation of this trial alone, if any.
        images_per_second: median over its blocks; None if it failed.
        blocks: number of its blocks.
        winner: whether the run chose it.
        own: digest of the user's file; None for other loaders.
    """

    loader: str
    settings: dict[str, Any]
    augment: dict[str, Any] | None = None
    images_per_second: Positive | None
    blocks: int
    winner: bool
    own: str | None = None

    @property
    def name(self) -> str:
        """Loader and settings."""
        return str(Choice(loader=self.loader, settings=self.settings, augment=self.augment))


class HistoryEntry(_Model):
    """One run.

    Attributes:
        time: when it ended, UTC.
        commit: of the repository around the working directory; None without one.
        has_changes: whether files that git tracks had changes that are not committed.
        images: rows of the manifest.
        rows: fingerprint of the images.
        machine: processor, cores and GPUs.
        versions: of Python and of libraries.
        consumer: what took the batches.
        device: name of the GPU that the trainer used, or CPU, with the number of several; None
            without a trainer.
        accelerator: what the rate of an emulated accelerator depends on; None for others.
        model: digest of the file of the user's own model; None without one.
        cache_state: of the page cache; None if none was requested.
        trials: one for each loader with its settings; not that of one device of several.
    """

    schema_number: int = SCHEMA_NUMBER
    time: AwareDatetime
    commit: str | None
    has_changes: bool | None
    images: int
    rows: str | None
    machine: dict[str, Any]
    versions: dict[str, str | None]
    consumer: str
    spec: dict[str, Any]
    recipe: dict[str, Any]
    device: str | None = None
    accelerator: dict[str, Any] | None = None
    model: str | None = None
    cache_state: str | None = None
    trials: list[HistoryTrial]

    @property
    def group(self) -> str:
        """A text that is equal for entries whose rates can be compared."""
        facts = self.model_dump(mode="json", include=_GROUP)
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def history_entry(trials: list[Trial], summary: Summary) -> HistoryEntry:
    """Return the line of a bench that has just ended.

    Args:
        trials: at least one.
    """
    first, (commit, has_changes) = trials[0], _commit()
    profile = first.accelerator
    return HistoryEntry(
        time=datetime.now(UTC).replace(microsecond=0),
        commit=commit,
        has_changes=has_changes,
        images=first.images,
        rows=first.rows,
        machine=first.machine or {},
        versions=first.versions or {},
        consumer=first.consumer,
        spec=first.spec,
        recipe=first.recipe if first.consumer == "train" else {},
        device=device_text(first),
        accelerator=profile and {name: profile.get(name) for name in ACCELERATOR_COST},
        model=(first.model or {}).get("sha256"),
        cache_state=next((one.cache_state for one in trials if one.cache_state), None),
        trials=[
            HistoryTrial(
                loader=trial.loader,
                settings=trial.settings,
                augment=trial.augment,
                images_per_second=figures.images_per_second,
                blocks=figures.blocks,
                winner=index == summary.winner,
                own=trial.own.digest if trial.own else None,
            )
            for index, (trial, figures) in enumerate(zip(trials, summary.trials, strict=True))
            if not trial.alone
        ],
    )


def _commit() -> tuple[str | None, bool | None]:
    """Return the commit of the working directory, and whether tracked files have changes."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None, None
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=_GIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def append_history(path: Path, entry: HistoryEntry) -> None:
    """Add a line to a history, which is created if it does not exist.

    The whole file is written beside the old one and renamed, under a lock: a killed run leaves no
    part of a line, and two runs that end at once both add theirs. What a killed run left beside the
    file is removed.

    Raises:
        RecordError: the file cannot be read or written.
    """
    path = path.resolve()
    with interrupts_deferred(), _locked(path.parent):
        _remove_left_over(path)
        try:
            before = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise RecordError(f"{path}: {error.strerror}; name another file") from error
        end = b"\n" if before and not before.endswith(b"\n") else b""
        with replacing(path) as temporary:
            temporary.write_bytes(before + end + entry.model_dump_json().encode() + b"\n")
            if path.exists():
                temporary.chmod(path.stat().st_mode)


def _remove_left_over(path: Path) -> None:
    """Remove the temporary files of runs that were killed while they added a line."""
    for other in path.parent.iterdir():
        if (pid := writer_of(other, path)) is not None and not psutil.pid_exists(pid):
            with suppress(OSError):
                other.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which the end of the process releases too."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise RecordError(f"{folder}: {error.strerror}; name another folder") from error
    try:
        with suppress(OSError):  # some network file systems cannot lock a folder
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_history(path: Path) -> list[HistoryEntry]:
    """Return the runs in a history, oldest first.

    Raises:
        RecordError: the file cannot be read, or a line is not a run; the text names the line.
    """
    try:
        lines = path.read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise RecordError(f"{path}: {reason}; give a file that bench --history wrote") from error
    entries = [_entry(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return sorted(entries, key=lambda entry: entry.time)


def _entry(path: Path, number: int, line: str) -> HistoryEntry:
    where = f"{path}: line {number}"
    try:
        values = json.loads(line)
        check_schema(values, SCHEMA_NUMBER, where)
        return HistoryEntry.model_validate(values)
    except ValidationError as error:
        raise RecordError(f"{where}: {explain(error)}") from error
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise RecordError(f"{where} is not a run of a history: {error}") from error
