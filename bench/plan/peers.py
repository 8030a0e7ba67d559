"""The suite `peers`: other libraries beside the loaders of this project, where they can run."""

from __future__ import annotations

from collections import defaultdict

from feedbench.loaders import LOADERS, Loader, Manifest, SuiteName, install_command

PEERS: SuiteName = "peers"


def peers(manifest: Manifest) -> list[Loader]:
    """Return the loaders of the suite that are installed and can read a source."""
    return [loader for loader in _members() if not _why_left_out(loader, manifest)]


def left_out_note(suite: str | None, manifest: Manifest) -> str:
    """Return which loaders the suite leaves out and why, on one line; empty if none."""
    if suite != PEERS:
        return ""
    reasons: dict[str, list[str]] = defaultdict(list)
    for loader in _members():
        if why := _why_left_out(loader, manifest):
            reasons[why].append(loader.name)
    missing = [
        loader.package for loader in _members() if loader.package and loader.package.missing()
    ]
    parts = [f"{', '.join(names)}: {why}" for why, names in reasons.items()]
    command = [f"to install: {install_command(missing)}"] if missing else []
    return f"Not in this run: {'; '.join([*parts, *command])}" if parts else ""


def _members() -> list[Loader]:
    return [loader for loader in LOADERS.values() if PEERS in loader.suites]


def _why_left_out(loader: Loader, manifest: Manifest) -> str:
    """Return why a loader cannot take part; empty if it can."""
    if loader.package is not None and loader.package.missing():
        return "not installed"
    if manifest.layout not in loader.layouts:
        return f"reads no source of the kind {manifest.layout}"
    return ""
