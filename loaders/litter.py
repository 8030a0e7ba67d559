"""Names of files that operating systems and network drives leave among a user's files."""

from __future__ import annotations

_LITTER = {b"__macosx", b"@eadir", b"thumbs.db", b"ehthumbs.db", b"desktop.ini"}


def is_litter(name: bytes) -> bool:
    """Whether a file or folder of this name is hidden, or left by a system."""
    return name.startswith(b".") or name.lower() in _LITTER


def is_in_litter(path: bytes) -> bool:
    """Whether any part of a relative path is litter; `.` and `..` are not."""
    return any(is_litter(part) for part in path.split(b"/") if part not in (b".", b".."))
