"""The facts of a source's files on disk: a Parquet file, and journals of newer facts.

A journal is written while an audit runs, so that a killed audit loses a second's work.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import monotonic, time_ns
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feedbench.loaders.audit.messages import Facts
from feedbench.loaders.audit.probe import PROBE_VERSION, REFUSED, ProbeLimits
from feedbench.loaders.cache_folder import cache_folder
from feedbench.loaders.errors import SourceError
from feedbench.loaders.manifest import AUDIT, SCHEMA, first_of_each, one_chunk_each
from feedbench.loaders.remote.path import RemotePath, source_path
from feedbench.replacing import replacing

FACTS = pa.schema([SCHEMA.field("path"), *AUDIT])
_DECODERS = ("pillow", "tensorflow")
_ROWS, _SECONDS = 1_000, 1.0  # a journal is flushed after either


class Store:
    """The folder with the facts of one source; several audits may write it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._facts = folder / "facts.parquet"
        self._about = folder / "about.json"

    @classmethod
    def of(cls, source: str | Path) -> Self:
        """The store of a source, below `FEEDBENCH_CACHE` or in the user's cache folder.

        It is the same by whatever path or link the source is named.
        """
        path = source_path(source)
        place = path.absolute() if isinstance(path, RemotePath) else os.path.realpath(path)
        name = hashlib.blake2b(os.fsencode(place), digest_size=8).hexdigest()
        return cls(cache_folder() / "audits" / name)

    @property
    def log(self) -> Path:
        """The file for what decoders write to standard error."""
        return self.folder / "audit.log"

    def begin(self, limits: ProbeLimits) -> None:
        """Create the folder; drop facts of other decoder versions, and refusals by other limits.

        Raises:
            SourceError: the folder cannot be written.
        """
        about = {"decoders": _decoders(), "limits": asdict(limits)}
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.log.write_bytes(b"")
            with self._alone():
                if self._read_about() == about:
                    return
                facts = self.facts()
                self._replace(facts.filter(pc.invert(_refused(facts))))
                with replacing(self._about) as beside:
                    beside.write_text(json.dumps(about))

    def facts(self) -> pa.Table:
        """The latest facts by these decoders, one row per path; columns of `FACTS`."""
        if self._read_about().get("decoders") != _decoders():
            return _NONE
        newer = [_read_journal(path) for path in reversed(self._journals())]
        kept = _read_facts(self._facts)
        # Without a journal each path is there once: a table to prove it would be large.
        return _latest(pa.concat_tables([*newer, kept])) if newer else kept

    def keep_only(self, paths: pa.ChunkedArray) -> pa.Table:
        """Keep the facts of these paths, in one file, and return them; drop all others.

        Raises:
            SourceError: the folder cannot be written.
        """
        with _writing(self.folder), self._alone():
            facts = self.facts()
            if not self._journals() and facts["path"].equals(paths):
                return facts
            # In the order of the source: later runs need no table of paths to find them.
            places = pc.unique(pc.index_in(paths, facts["path"]).drop_null())
            facts = facts.take(places).combine_chunks()
            self._replace(facts)
        return facts

    def journal(self) -> Journal:
        """A new journal, for the facts of a running audit.

        Raises:
            SourceError: the folder cannot be written.
        """
        name = f"journal-{time_ns():020}-{os.getpid()}.arrows"
        with _writing(self.folder), self._alone():
            return Journal(self.folder / name)

    def _replace(self, facts: pa.Table) -> None:
        ended = [path for path in self._journals() if not _is_locked(path)]
        with replacing(self._facts) as beside:
            pq.write_table(facts, beside)
        for path in ended:
            path.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other audits of the source from changing the folder meanwhile."""
        with (self.folder / "lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _journals(self) -> list[Path]:
        return sorted(self.folder.glob("journal-*.arrows"))

    def _read_about(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            about = json.loads(self._about.read_bytes())
            if isinstance(about, dict):
                return about
        return {}


class Journal:
    """Facts in the order in which they were added, flushed to disk every second.

    Its file is locked as long as it is open, so that other audits leave it in place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._writer = pa.ipc.new_stream(self._file, FACTS)
        self._rows: list[Facts] = []
        self._since = monotonic()

    def add(self, facts: Facts) -> None:
        """Add the facts of one file, with its `path`.

        Raises:
            SourceError: the journal cannot be written.
        """
        self._rows.append(facts)
        if len(self._rows) >= _ROWS or monotonic() - self._since > _SECONDS:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._flush()
            with _writing(self._path.parent):
                self._writer.close()
        finally:
            with suppress(OSError):
                self._file.close()

    def _flush(self) -> None:
        rows, self._rows, self._since = self._rows, [], monotonic()
        if rows:
            with _writing(self._path.parent):
                self._writer.write_batch(pa.RecordBatch.from_pylist(rows, FACTS))
                self._file.flush()


_NONE = FACTS.empty_table()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """State a failure to write in one line."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise SourceError(
            f"{folder}: cannot write the audit: {why}; set FEEDBENCH_CACHE to another folder"
        ) from error


def _decoders() -> dict[str, str]:
    """What facts depend on besides the files: the decoders' versions, and the probe's own."""
    return {**{name: version(name) for name in _DECODERS}, "probe": PROBE_VERSION}


def _is_locked(path: Path) -> bool:
    """Whether the audit that writes a journal is still running."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _read_journal(path: Path) -> pa.Table:
    """The complete batches of a journal; its end is torn if the audit was killed."""
    batches = []
    with suppress(pa.ArrowInvalid, OSError), pa.ipc.open_stream(path.read_bytes()) as reader:
        for batch in reader:
            batches.append(batch)
    return pa.Table.from_batches(batches, FACTS)


def _read_facts(path: Path) -> pa.Table:
    """The facts in a file; none if there is none, or it is damaged: a scan finds them again."""
    try:
        with path.open("rb") as file:
            facts = one_chunk_each(file)
        return facts if facts.schema.equals(FACTS) else facts.cast(FACTS)
    except FileNotFoundError:
        return _NONE
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        if getattr(error, "errno", None):  # of the system; Arrow's own have no number
            raise
        return _NONE


def _latest(facts: pa.Table) -> pa.Table:
    """The first row of each path, which is the latest."""
    return facts.filter(pa.array(first_of_each(facts["path"]))).combine_chunks()


def _refused(facts: pa.Table) -> Any:
    return pc.fill_null(pc.starts_with(facts["pillow"], REFUSED), False)
