"""A source with what the last scan found in its files."""

from __future__ import annotations

from pathlib import Path

from feedbench.loaders.audit.facts import attach
from feedbench.loaders.audit.store import Store
from feedbench.loaders.file_stamps import without_stale_facts
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.source import scan


def scanned(data: str | Path) -> Manifest:
    """The images of a source, with the audit of its last `feedbench scan`, if there was one.

    Facts of files that have changed since are left out.

    Raises:
        SourceError: the source cannot be read.
    """
    manifest = scan(data)
    audit = Store.of(str(data)).facts()
    if len(audit) and not manifest.audited:
        manifest = attach(manifest, audit)
    return without_stale_facts(manifest)
