"""Sizes in bytes as text."""

from __future__ import annotations


def amount(size: int) -> str:
    """A size with the unit that suits it, such as `1.25 GB`, `3.4 MB` or `12 kB`."""
    if size >= 1e9:
        return f"{size / 1e9:,.2f} GB"
    if size >= 1e6:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.0f} kB" if size >= 1e3 else f"{size} bytes"
