"""A source with what the last scan found in its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from feedbench.loaders.audit.facts import attach
from feedbench.loaders.audit.store import Store
from feedbench.loaders.file_stamps import without_stale_facts
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.source import scan


def scanned(data: str | Path, *, on_listed: Callable[[int], None] = lambda count: None) -> Manifest:
    """The images of a source, with the audit of its last `feedbench scan`, if there was one.

    Facts of files that have changed since are left out.

    Args:
        on_listed: called with the number of objects that were listed since the last call.

    Raises:
        SourceError: the source cannot be read.
    """
    manifest = scan(data, on_listed=on_listed)
    audit = Store.of(str(data)).facts()
    if len(audit) and not manifest.audited:
        manifest = attach(manifest, audit)
    return without_stale_facts(manifest)
