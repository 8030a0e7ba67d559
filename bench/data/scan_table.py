"""What a scan prints: tables and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feedbench.bench.data.scan_report import MIN_CLASS_IMAGES
from feedbench.bench.quantities import quantity
from feedbench.bench.report.document import Column, Line, Part, TableData, words
from feedbench.loaders import SPLITS, printable

_PRINTED_CLASSES = 40
_NAMED = 10  # classes with few images that a warning names
_OWN = " –: the loader is Feedbench's own; it stands for no library's call."

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


def parts(report: dict[str, Any]) -> Iterator[Part]:
    """Yield what is printed of a report.

    Classes and splits, formats, problems, unreadable files, what each library's own call would do,
    and warnings.
    """
    yield _classes_table(report)
    yield _counts_table("formats", "format", report["formats"])
    if problems := report["problems"]:
        named = {problem_text(name): count for name, count in problems.items()}
        yield _counts_table("problems", "problem", named)
    if report["unreadable"]:
        yield _counts_table("unreadable", "reason why files are unreadable", report["unreadable"])
    yield _verdicts_table(report["loaders"])
    yield from map(Line, warnings(report))
    if not _has_problems(report):
        yield Line("No problems found: every image can be read, and none is there twice.", "bold")


def _has_problems(report: dict[str, Any]) -> bool:
    """Whether there is anything to look at before a training."""
    return bool(report["problems"] or report["unreadable"] or list(warnings(report)))


def _classes_table(report: dict[str, Any]) -> TableData[str]:
    """Return one row per class; of many, those with the fewest training images are printed."""
    names, counts = list(report["classes"]), report["counts"]
    if len(names) > _PRINTED_CLASSES:
        names.sort(key=lambda name: counts[SPLITS[0]][name])
    return TableData(
        name="classes",
        columns=[words("class", "class", printable), *(_split(split, counts) for split in SPLITS)],
        rows=names,
        printed_rows=_PRINTED_CLASSES,
        notes=[f"{quantity(report['images'], 'image')}, {report['bytes'] / 1e6:,.0f} MB"],
    )


def _split(split: str, counts: dict[str, dict[str, int]]) -> Column[str]:
    return Column(split, f"{split}_images", lambda name: counts[split][name], "{:,}")


def problem_text(name: str) -> str:
    """Return a problem in words."""
    return _PROBLEMS.get(name, name)


def warnings(report: dict[str, Any]) -> Iterator[str]:
    """Yield one line per warning: objects not read, duplicates, contradictory labels and so on."""
    if unread := report.get("unread"):
        yield f"Not read: {unread:,} objects could not be fetched; scan again to read them."
    duplicates = report["duplicates"]
    if duplicates["pictures"]:
        yield (
            f"Duplicates: {quantity(duplicates['pictures'], 'image')} more than once, in "
            f"{duplicates['files']:,} files with identical bytes."
        )
    if duplicates["across_splits"]:
        yield (
            f"Leakage: {_of_them(duplicates['across_splits'])} in more than one split; the "
            "test would include images of the training."
        )
    if duplicates["across_classes"]:
        count = _of_them(duplicates["across_classes"])
        yield f"Contradiction: {count} in more than one class."
    if few := report["few_images"]:
        yield _few_images(few)


def _of_them(count: int) -> str:
    return f"{count:,} of them {'is' if count == 1 else 'are'}"


def _few_images(few: dict[str, int]) -> str:
    """Return one sentence on all classes that have few images."""
    listed = [f"{printable(name)} ({count})" for name, count in few.items()]
    more = f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else ""
    classes = "class has" if len(few) == 1 else "classes have"
    return (
        f"Few images: {len(few):,} {classes} fewer than {MIN_CLASS_IMAGES} readable training "
        f"images: {', '.join(listed[:_NAMED])}{more}."
    )


def _verdicts_table(
    loaders: dict[str, dict[str, int | None]],
) -> TableData[tuple[str, dict[str, int | None]]]:
    return TableData(
        name="loaders",
        title="Files by what the library's own call does with them",
        columns=[
            words("loader", "loader", lambda row: row[0]),
            _verdict("cannot\nread", "fails"),
            _verdict("alters", "alters"),
            _verdict("skips\nsilently", "drops"),
            _verdict("Feedbench\nleaves out", "left_out"),
        ],
        rows=list(loaders.items()),
        legend="alters: ignores alpha, EXIF orientation or palettes, or truncates 16 "
        "bits. Feedbench's loaders read such files correctly, and leave out only those of the last "
        "column." + (_OWN if any(row["fails"] is None for row in loaders.values()) else ""),
    )


def _verdict(title: str, key: str) -> Column[tuple[str, dict[str, int | None]]]:
    return Column(title, f"{key}_files", lambda row: row[1][key], "{:,}")


def _counts_table(name: str, title: str, counts: dict[str, int]) -> TableData[tuple[str, int]]:
    return TableData(
        name=name,
        columns=[
            words(title, title.split()[0], lambda row: row[0]),
            Column("files", "files", lambda row: row[1], "{:,}"),
        ],
        rows=list(counts.items()),
    )
