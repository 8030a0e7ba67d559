"""The suite `peers`: other libraries beside the loaders of this project, where they can run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container

from feedbench.loaders import (
    LOADERS,
    Loader,
    Manifest,
    SettingsError,
    SuiteName,
    install_command,
    parse_settings,
)

PEERS: SuiteName = "peers"


def peers(manifest: Manifest, configured: Container[str] = ()) -> list[Loader]:
    """Return the loaders of the suite that are installed and can read a source.

    Args:
        configured: names of the loaders that the user gave settings for.
    """
    return [one for one in _members() if not _why_left_out(one, manifest, configured)]


def left_out_note(suite: str | None, manifest: Manifest, configured: Container[str] = ()) -> str:
    """Return which loaders the suite leaves out and why, on one line; empty if none."""
    if suite != PEERS:
        return ""
    reasons: dict[str, list[str]] = defaultdict(list)
    for loader in _members():
        if why := _why_left_out(loader, manifest, configured):
            reasons[why].append(loader.name)
    parts = [f"{', '.join(names)}: {why}" for why, names in reasons.items()]
    packages = [loader.package for loader in _members() if loader.package]
    if missing := [package for package in packages if package.missing()]:
        parts.append(f"to install: {install_command(missing)}")
    return f"Not in this run: {'; '.join(parts)}" if parts else ""


def _members() -> list[Loader]:
    return [loader for loader in LOADERS.values() if PEERS in loader.suites]


def _why_left_out(loader: Loader, manifest: Manifest, configured: Container[str]) -> str:
    """Return why a loader cannot take part; empty if it can."""
    if loader.package is not None and loader.package.missing():
        return "not installed"
    if not loader.can_read(manifest):
        kind = "object storage" if manifest.layout in loader.layouts else manifest.layout
        return f"reads no source of the kind {kind}"
    return "" if loader.name in configured else _missing_setting(loader)


def _missing_setting(loader: Loader) -> str:
    """Return what a loader cannot be opened without; empty if nothing."""
    try:
        parse_settings(loader, {})
    except SettingsError as error:
        return str(error).removeprefix(f"settings of {loader.name}: ")
    return ""
