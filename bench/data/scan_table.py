"""What a scan found, as people see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from feedbench.loaders import SPLITS, printable


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """Classes and splits; formats; problems; what each library's own call would do."""
    size = f"{found['images']:,} images, {found['bytes'] / 1e6:,.0f} MB"
    classes = _table("class", *SPLITS, caption=size)
    for name in found["classes"]:
        counts = (f"{found['counts'][split][name]:,}" for split in SPLITS)
        classes.add_row(printable(name), *counts)
    yield classes
    yield _counts("format", found["formats"])
    if found["problems"]:
        yield _counts("what is out of the ordinary", found["problems"])
    if found["unreadable"]:
        yield _counts("what cannot be read, and why", found["unreadable"])
    yield _verdicts(found["loaders"])


def warnings(found: dict[str, Any]) -> Iterator[str]:
    """Leakage, contradictions, classes that are too small: a line each."""
    twice = found["duplicates"]
    if twice["pictures"]:
        yield (
            f"Duplicates: {twice['pictures']:,} pictures are there more than once, in "
            f"{twice['files']:,} files of the very same bytes."
        )
    if twice["across_splits"]:
        yield (
            f"Leakage: {twice['across_splits']:,} of them are in more than one split; what is "
            "tested was trained on."
        )
    if twice["across_classes"]:
        yield f"Contradiction: {twice['across_classes']:,} of them are in more than one class."
    for name, count in found["few_images"].items():
        yield f"Few images: class {printable(name)} has {count} readable ones to train on."


def _verdicts(loaders: dict[str, dict[str, int | None]]) -> Table:
    made = _table(
        "the library's own call",
        "fails on",
        "alters",
        "drops silently",
        "feedbench leaves out",
        caption="alters: alpha dropped, 16 bits cut, EXIF orientation or palettes mistaken; "
        "feedbench's loaders mend that, and give all but the last column.",
    )
    for name, verdict in loaders.items():
        numbers = (verdict[key] for key in ("fails", "alters", "drops", "left_out"))
        made.add_row(name, *("–" if number is None else f"{number:,}" for number in numbers))
    return made


def _counts(title: str, counts: dict[str, int]) -> Table:
    made = _table(title, "files")
    for name, count in counts.items():
        made.add_row(name, f"{count:,}")
    return made


def _table(first: str, *others: str, caption: str | None = None) -> Table:
    made = Table(caption=caption, caption_justify="left")
    made.add_column(first, overflow="fold")
    for name in others:
        made.add_column(name, justify="right")
    return made
