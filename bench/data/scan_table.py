"""Prints the report of a scan as tables and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from feedbench.loaders import SPLITS, printable

# How the names of problems in a report are printed, where that differs.
_PROBLEMS = {
    "Pillow alone cannot read it": "only Pillow cannot read it",
    "TensorFlow alone cannot read it": "only TensorFlow cannot read it",
    "Pillow and TensorFlow differ": "Pillow and TensorFlow show different images",
    "extension of no format": "unknown extension",
    "EXIF says it is turned": "rotated or mirrored by EXIF",
    "more than 8 bits a channel": "more than 8 bits per channel",
    "animated or of many pages": "animated or multi-page",
}


def tables(report: dict[str, Any]) -> Iterator[Table]:
    """Yield the tables of a report.

    They show classes and splits, formats, problems, unreadable files, and what each library's own
    call would do.
    """
    size = f"{report['images']:,} images, {report['bytes'] / 1e6:,.0f} MB"
    classes = _table("class", *SPLITS, caption=size)
    for name in report["classes"]:
        counts = (f"{report['counts'][split][name]:,}" for split in SPLITS)
        classes.add_row(printable(name), *counts)
    yield classes
    yield _counts_table("format", report["formats"])
    if problems := report["problems"]:
        named = {problem_text(name): count for name, count in problems.items()}
        yield _counts_table("problem", named)
    if report["unreadable"]:
        yield _counts_table("reason why files are unreadable", report["unreadable"])
    yield _verdicts_table(report["loaders"])


def problem_text(name: str) -> str:
    """Return a problem in words."""
    return _PROBLEMS.get(name, name)


def warnings(report: dict[str, Any]) -> Iterator[str]:
    """Yield one line per warning: duplicates, leakage, contradictory labels, small classes."""
    duplicates = report["duplicates"]
    if duplicates["pictures"]:
        yield (
            f"Duplicates: {duplicates['pictures']:,} images occur more than once, in "
            f"{duplicates['files']:,} files with identical bytes."
        )
    if duplicates["across_splits"]:
        yield (
            f"Leakage: {duplicates['across_splits']:,} of them are in more than one split; the "
            "test would include images of the training."
        )
    if duplicates["across_classes"]:
        yield f"Contradiction: {duplicates['across_classes']:,} of them are in more than one class."
    for name, count in report["few_images"].items():
        yield f"Few images: class {printable(name)} has only {count} readable training images."


def _verdicts_table(loaders: dict[str, dict[str, int | None]]) -> Table:
    table = _table(
        "the library's own call",
        "fails on",
        "alters",
        "drops silently",
        "feedbench leaves out",
        caption="alters: ignores alpha, EXIF orientation or palettes, or truncates 16 bits. "
        "feedbench's loaders read such files correctly and leave out only the last column. "
        "–: the loader is feedbench's own; it stands for no library's call.",
    )
    for name, verdict in loaders.items():
        counts = (verdict[key] for key in ("fails", "alters", "drops", "left_out"))
        table.add_row(name, *("–" if count is None else f"{count:,}" for count in counts))
    return table


def _counts_table(title: str, counts: dict[str, int]) -> Table:
    table = _table(title, "files")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    return table


def _table(first: str, *others: str, caption: str | None = None) -> Table:
    table = Table(caption=caption, caption_justify="left")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right")
    return table
