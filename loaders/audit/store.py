"""The facts of a source's files on disk: a Parquet file, and journals of newer facts.

A journal is written while an audit runs, so that a killed audit loses a second's work.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any, Self

import platformdirs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feedbench.loaders.audit.probe import REFUSED, Facts, ProbeLimits
from feedbench.loaders.errors import SourceError
from feedbench.loaders.files import replacing
from feedbench.loaders.manifest import AUDIT, SCHEMA

FACTS = pa.schema([SCHEMA.field("path"), *AUDIT])
_DECODERS = ("pillow", "tensorflow")
_ROWS, _SECONDS = 1_000, 1.0  # a journal is flushed after either


class Store:
    """The folder with the facts of one source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._facts = folder / "facts.parquet"
        self._about = folder / "about.json"

    @classmethod
    def of(cls, source: str | Path) -> Self:
        """The store of a source, below `FEEDBENCH_CACHE` or in the user's cache folder."""
        root = os.environ.get("FEEDBENCH_CACHE") or platformdirs.user_cache_path("feedbench")
        name = hashlib.blake2b(os.fsencode(Path(source).absolute()), digest_size=8).hexdigest()
        return cls(Path(root) / "audits" / name)

    @property
    def log(self) -> Path:
        """The file for what decoders write to standard error."""
        return self.folder / "audit.log"

    def begin(self, limits: ProbeLimits) -> None:
        """Create the folder; drop facts of other decoder versions, and refusals by other limits.

        Raises:
            SourceError: the folder cannot be written.
        """
        about = {"decoders": {name: version(name) for name in _DECODERS}, "limits": asdict(limits)}
        before = self._read_about()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.log.write_bytes(b"")
            if before != about:
                facts = self.facts() if before.get("decoders") == about["decoders"] else _NONE
                self.keep(facts.filter(pc.invert(_refused(facts))))
                with replacing(self._about) as beside:
                    beside.write_text(json.dumps(about))
        except OSError as error:
            raise SourceError(
                f"{self.folder}: cannot write the audit: {error.strerror}; set FEEDBENCH_CACHE to "
                "another folder"
            ) from error

    def facts(self) -> pa.Table:
        """The latest facts, one row per path; columns of `FACTS`."""
        tables = [_read_journal(path) for path in reversed(self._journals())]
        if self._facts.exists():
            tables.append(pq.read_table(self._facts).cast(FACTS))
        return _latest(pa.concat_tables([*tables, _NONE]).combine_chunks())

    def keep(self, facts: pa.Table) -> None:
        """Replace all facts."""
        journals = self._journals()
        with replacing(self._facts) as beside:
            pq.write_table(facts, beside)
        for path in journals:
            path.unlink()

    def journal(self) -> Journal:
        """A new journal, for the facts of a running audit."""
        return Journal(self.folder / f"journal-{len(self._journals()):06}.arrows")

    def _journals(self) -> list[Path]:
        return sorted(self.folder.glob("journal-*.arrows"))

    def _read_about(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            about: dict[str, Any] = json.loads(self._about.read_text())
            return about
        return {}


class Journal:
    """Facts in the order in which they were added, flushed to disk every second."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._writer = pa.ipc.new_stream(self._file, FACTS)
        self._rows: list[Facts] = []
        self._since = monotonic()

    def add(self, facts: Facts) -> None:
        """Add the facts of one file, with its `path`."""
        self._rows.append(facts)
        if len(self._rows) >= _ROWS or monotonic() - self._since > _SECONDS:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, FACTS))
            self._file.flush()
        self._rows.clear()
        self._since = monotonic()


_NONE = FACTS.empty_table()


def _read_journal(path: Path) -> pa.Table:
    """The complete batches of a journal; its end is torn if the audit was killed."""
    batches = []
    with suppress(pa.ArrowInvalid, OSError), pa.ipc.open_stream(path.read_bytes()) as reader:
        for batch in reader:
            batches.append(batch)
    return pa.Table.from_batches(batches, FACTS)


def _latest(facts: pa.Table) -> pa.Table:
    """The first row of each path, which is the latest."""
    paths = facts["path"].combine_chunks()
    first = pc.index_in(paths, paths)
    return facts.filter(pc.equal(first, pa.array(range(len(facts)), first.type)))


def _refused(facts: pa.Table) -> Any:
    return pc.fill_null(pc.starts_with(facts["pillow"], REFUSED), False)
