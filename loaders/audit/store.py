"""Where what is known of a source's files is kept: a Parquet file, and a journal of what is newer.

The journal is written while an audit runs, so that one that is killed loses a second's work.
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

from feedbench.loaders.audit.probe import REFUSED, Facts, Limits
from feedbench.loaders.errors import SourceError
from feedbench.loaders.files import replacing
from feedbench.loaders.manifest import AUDIT, SCHEMA

FACTS = pa.schema([SCHEMA.field("path"), *AUDIT])
_DECODERS = ("pillow", "tensorflow")
_ROWS, _SECONDS = 1_000, 1.0  # whichever comes first is written down


class Store:
    """The folder of one source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._facts = folder / "facts.parquet"
        self._about = folder / "about.json"

    @classmethod
    def of(cls, source: str | Path) -> Self:
        """That of a source, under `FEEDBENCH_CACHE` or in the user's own cache."""
        root = os.environ.get("FEEDBENCH_CACHE") or platformdirs.user_cache_path("feedbench")
        name = hashlib.blake2b(os.fsencode(Path(source).absolute()), digest_size=8).hexdigest()
        return cls(Path(root) / "audits" / name)

    @property
    def log(self) -> Path:
        """What decoders write to standard error."""
        return self.folder / "audit.log"

    def begin(self, limits: Limits) -> None:
        """Make the folder; forget what other decoders found, and what other limits refused.

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
                f"{self.folder}: the audit cannot be kept: {error.strerror}; name another folder "
                "by FEEDBENCH_CACHE"
            ) from error

    def facts(self) -> pa.Table:
        """What is known, a row a path, the latest; columns of `FACTS`."""
        pieces = [_read_journal(path) for path in reversed(self._journals())]
        if self._facts.exists():
            pieces.append(pq.read_table(self._facts).cast(FACTS))
        return _latest(pa.concat_tables([*pieces, _NONE]).combine_chunks())

    def keep(self, facts: pa.Table) -> None:
        """Keep these in the place of all that was known."""
        journals = self._journals()
        with replacing(self._facts) as beside:
            pq.write_table(facts, beside)
        for path in journals:
            path.unlink()

    def journal(self) -> Journal:
        """To write down what an audit finds."""
        return Journal(self.folder / f"journal-{len(self._journals()):06}.arrows")

    def _journals(self) -> list[Path]:
        return sorted(self.folder.glob("journal-*.arrows"))

    def _read_about(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            about: dict[str, Any] = json.loads(self._about.read_text())
            return about
        return {}


class Journal:
    """Facts in the order in which they were found; each second's are on disk when it ends."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._writer = pa.ipc.new_stream(self._file, FACTS)
        self._rows: list[Facts] = []
        self._since = monotonic()

    def add(self, facts: Facts) -> None:
        """One file's, with its `path`."""
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
    """What is whole of it: the end is torn if the audit was killed."""
    batches = []
    with suppress(pa.ArrowInvalid, OSError), pa.ipc.open_stream(path.read_bytes()) as reader:
        for batch in reader:
            batches.append(batch)
    return pa.Table.from_batches(batches, FACTS)


def _latest(facts: pa.Table) -> pa.Table:
    """The first row of each path."""
    paths = facts["path"].combine_chunks()
    first = pc.index_in(paths, paths)
    return facts.filter(pc.equal(first, pa.array(range(len(facts)), first.type)))


def _refused(facts: pa.Table) -> Any:
    return pc.fill_null(pc.starts_with(facts["pillow"], REFUSED), False)
