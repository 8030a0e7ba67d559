"""The report of a pixel check, and its section in the report of a bench."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from feedbench.bench.errors import RecordError
from feedbench.bench.files import read_model
from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.kinds.cells import dots_table, listed, number
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Column,
    Details,
    Headline,
    Part,
    Picture,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.pixels.result import LoaderPixels, PixelComparison
from feedbench.bench.pixels.table import name_of, verdict
from feedbench.bench.results.kinds import PixelsResult

_RECORD = "pixels.json"
_LARGE_BYTES, _MOST_BYTES = 500_000, 1_500_000  # of a contact sheet: the page stays small
_PNG = b"\x89PNG"


def report_of_pixels(result: PixelsResult) -> Report:
    """Return the report of a pixel check."""
    comparison = result.comparison
    sections = [
        Section("Differences", list(pixel_parts(comparison)), "pixels"),
        *_sheets(result.path.parent),
    ]
    title = f"Pixels of {comparison.images:,} images by {len(comparison.loaders)} loaders"
    return Report(title, Headline(verdict(comparison)), sections)


def pixels_beside(folder: Path) -> Iterator[Section]:
    """Yield the pixel check that was saved in the folder of another record, if there is one."""
    try:
        comparison = read_model(folder / _RECORD, PixelComparison, "pixel check")
    except RecordError:
        return
    parts: list[Part] = [Text(verdict(comparison), "verdict"), *pixel_parts(comparison)]
    yield Section("Pixels", parts, "pixels")


def pixel_parts(comparison: PixelComparison) -> Iterator[Part]:
    """Yield the differences of each loader with their cause, and the images that differ most."""
    if chart := _chart(comparison):
        yield chart
    yield _loaders_table(comparison)
    worst = [(name_of(one), image) for one in comparison.loaders for image in one.worst]
    if worst:
        columns = [
            Column("loader and settings"),
            Column("image"),
            Column("mean", "mean absolute difference, in levels", numeric=True),
            Column("largest", "largest difference of any value, in levels", numeric=True),
            Column("cause", "what explains it best"),
        ]
        rows: list[list[Cell]] = [
            [name, image.path, number(image.mean), image.largest, image.reason]
            for name, image in worst
        ]
        yield Details("The images that differ most", [Table("Images", columns, rows)])


def _chart(comparison: PixelComparison) -> Chart | None:
    rows = [
        Dot(
            name_of(one),
            one.worst_mean,
            f"{one.worst_mean:.2f}",
            role="plain" if one.within else "cost",
        )
        for one in comparison.loaders
        if one.within is not None and name_of(one) != comparison.reference
    ]
    if not rows:
        return None
    different = [row.name for row in rows if row.role == "cost"]
    title = (
        f"Beyond the tolerance: {', '.join(different)}"
        if different
        else f"All are within the tolerance of {comparison.reference}"
    )
    tolerance = Line(comparison.tolerance, f"tolerance: {comparison.tolerance:g}")
    return Chart(
        title,
        f"Mean difference of the worst image from {comparison.reference}, in levels of 0 to 255. "
        f"{listed(rows)}",
        dots(
            rows, "mean difference of the worst image, levels of 0 to 255", [tolerance], zero=True
        ),
        table=dots_table("Worst images", "levels", rows),
    )


def _loaders_table(comparison: PixelComparison) -> Table:
    columns = [
        Column("loader and settings"),
        Column(
            "verdict", f"same: no image differs by more than {comparison.tolerance:g} on average"
        ),
        Column("identical", "images without any difference", numeric=True),
        Column("mean", "over all values of all images, in levels", numeric=True),
        Column("worst image", "largest mean of an image, in levels", numeric=True),
        Column("largest", "largest difference of any value, in levels", numeric=True),
        Column("cause", "of the images that differ most"),
    ]
    rows = [_row(one, comparison.reference) for one in comparison.loaders]
    note = f"{comparison.images:,} images; differences in levels of 0 to 255."
    return Table("Loaders", columns, rows, note=note)


def _row(one: LoaderPixels, reference: str) -> list[Cell]:
    name = name_of(one)
    if one.error:
        outcome = "failed" if one.comparable else "not compared"
        return [name, outcome, None, None, None, None, one.error]
    if name == reference:
        return [name, "reference", None, None, None, None, ""]
    causes = Counter(image.reason for image in one.worst if image.reason)
    return [
        name,
        "same" if one.within else "different",
        number(one.identical, ".1%"),
        number(one.mean, ".3f"),
        number(one.worst_mean, ".2f"),
        one.largest,
        ", ".join(cause for cause, _ in causes.most_common()),
    ]


def _sheets(folder: Path) -> Iterator[Section]:
    """Yield the contact sheets beside the record, with fewer colours if they are large."""
    pictures: list[Part] = []
    for path in sorted(folder.glob("*.png")):
        data = path.read_bytes()
        if len(data) > _LARGE_BYTES:
            data = _with_fewer_colors(data)
        if data.startswith(_PNG) and len(data) <= _MOST_BYTES:
            text = "The images that differ most: reference, loader, and their difference."
            pictures.append(Picture(path.name, text, data))
        else:
            text = f"{path.name} is not shown: it is too large for this page, or no PNG."
            pictures.append(Text(text, "note"))
    if pictures:
        yield Section("Contact sheet", pictures, "sheet")


def _with_fewer_colors(data: bytes) -> bytes:
    """Return a PNG with 256 colours; empty if it cannot be read."""
    from PIL import Image

    smaller = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.convert("RGB").quantize(256).save(smaller, "PNG", optimize=True)
    except (OSError, ValueError, Image.DecompressionBombError):
        return b""
    return smaller.getvalue()
