"""The report of a scan: what is in the files, and what each library would do with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from feedbench.bench.data.scan_table import problem_text, warnings
from feedbench.bench.html.charts.bars import bars
from feedbench.bench.html.charts.dots import Dot
from feedbench.bench.html.kinds.cells import (
    MOST_ROWS,
    Field,
    dots_table,
    first_rows,
    listed,
    table_of,
)
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Headline,
    Part,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.quantities import quantity
from feedbench.bench.results.kinds import ScanResult
from feedbench.loaders import SPLITS

_MOST_BARS = 30  # classes; more are in the table alone


def report_of_scan(result: ScanResult) -> Report:
    """Return the report of a scan."""
    values = result.values
    findings = list(_findings(values))
    sections = [
        Section("Findings", findings, "findings"),
        Section("Classes and splits", list(_classes(values)), "classes"),
        Section("What each library would do", [_libraries(values["loaders"])], "libraries"),
        Section("Repeat", [Code("feedbench scan DATA --json scan.json", "Scan again")], "repeat"),
    ]
    size = f"{quantity(values['images'], 'image')}, {values['bytes'] / 1e6:,.0f} MB"
    return Report(f"Audit of {size}", Headline(_sentence(values), _blacklist(values)), sections)


def _sentence(values: dict[str, Any]) -> str:
    bad = sum(values["unreadable"].values())
    issues = [
        f"{quantity(bad, 'file')} cannot be read" if bad else "",
        *(f"{problem_text(name)}: {count:,}" for name, count in values["problems"].items()),
    ]
    found = "; ".join(filter(None, issues))
    warned = sum(1 for _ in warnings(values))
    more = f" Warnings about duplicates and classes: {warned}." if warned else ""
    images, classes = values["images"], len(values["classes"])
    size = f"{quantity(images, 'image')} in {quantity(classes, 'class')}"
    return f"{size}: {found or 'no problem was found'}.{more}"


def _blacklist(values: dict[str, Any]) -> str | None:
    """Return the command that lists the unreadable files; None if there are none."""
    return "feedbench scan DATA --bad > blacklist.csv" if values["unreadable"] else None


def _findings(values: dict[str, Any]) -> Iterator[Part]:
    yield from (Text(line, "warning") for line in warnings(values))
    named = {problem_text(name): count for name, count in values["problems"].items()}
    for title, first, counts in (
        ("Problems", "problem", named),
        ("Unreadable files", "reason", values["unreadable"]),
        ("Formats", "format", values["formats"]),
    ):
        if counts:
            yield _counts(title, first, counts)


def _counts(title: str, first: str, counts: Mapping[str, int]) -> Table:
    fields: list[Field[tuple[str, int]]] = [
        Field(first, lambda row: row[0]),
        Field("files", lambda row: row[1]),
    ]
    return table_of(title, fields, counts.items())


def _classes(values: dict[str, Any]) -> Iterator[Part]:
    counts = values["counts"]
    totals = {
        name: sum(counts[split].get(name, 0) for split in SPLITS) for name in values["classes"]
    }
    if totals and len(totals) <= _MOST_BARS:
        ordered = sorted(totals.items(), key=lambda pair: -pair[1])
        rows = [Dot(name, count, f"{count:,}") for name, count in ordered]
        yield Chart(
            _sizes_title(ordered[0][1], ordered[-1][1]),
            f"Images per class, all splits together. {listed(rows)}",
            bars(rows, "images"),
            table=dots_table("Classes", "images", rows),
        )
    columns = [Column("class"), *(Column(split, numeric=True) for split in SPLITS)]
    names = list(values["classes"])
    if len(names) > MOST_ROWS:
        names.sort(key=lambda name: counts[SPLITS[0]].get(name, 0))
    shown, note = first_rows(names, "the fewest training images; the JSON has all")
    cells: list[list[Cell]] = [
        [name, *(counts[split].get(name, 0) for split in SPLITS)] for name in shown
    ]
    yield Table("Images by class and split", columns, cells, note=note)


def _sizes_title(largest: int, smallest: int) -> str:
    if not smallest:
        return f"The largest class has {largest:,} images, the smallest none"
    return f"The largest class has {largest / smallest:,.1f} times the images of the smallest"


_Library = tuple[str, dict[str, int | None]]


def _libraries(loaders: dict[str, dict[str, int | None]]) -> Table:
    note = "–: the loader is feedbench's own; it stands for no library's call."
    return table_of("Files", _LIBRARY_FIELDS, loaders.items(), note=note)


_LIBRARY_FIELDS: list[Field[_Library]] = [
    Field("the library's own call", lambda row: row[0]),
    Field("fails on", lambda row: row[1].get("fails"), "files at which it raises"),
    Field(
        "alters",
        lambda row: row[1].get("alters"),
        "ignores alpha, EXIF or palettes, or truncates 16 bits",
    ),
    Field("drops silently", lambda row: row[1].get("drops")),
    Field(
        "feedbench leaves out",
        lambda row: row[1].get("left_out"),
        "its loaders read the others correctly",
    ),
]
