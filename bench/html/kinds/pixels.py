"""The report of a pixel check, and its section in the report of a bench."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from feedbench.bench.errors import RecordError
from feedbench.bench.files import read_model
from feedbench.bench.html.charts.dots import Dot, Line
from feedbench.bench.html.kinds.cells import Field, dots_chart, number, table_of
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Details,
    Headline,
    Part,
    Picture,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.pixels.result import ImageDifference, LoaderPixels, PixelComparison
from feedbench.bench.pixels.table import name_of, verdict
from feedbench.bench.quantities import quantity
from feedbench.bench.results.kinds import PixelsResult

_RECORD = "pixels.json"
_LARGE_BYTES, _MOST_BYTES = 500_000, 1_500_000  # of a contact sheet: the page stays small
_COMPARED = ("same", "different")  # outcomes of loaders that have figures
_PNG = b"\x89PNG"


def report_of_pixels(result: PixelsResult) -> Report:
    """Return the report of a pixel check."""
    comparison = result.comparison
    sections = [
        Section("Differences", list(pixel_parts(comparison)), "pixels"),
        *_sheets(result.path.parent),
    ]
    loaders = quantity(len(comparison.loaders), "loader")
    title = f"Pixels of {quantity(comparison.images, 'image')} by {loaders}"
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
        yield Details("The images that differ most", [table_of("Images", _IMAGE_FIELDS, worst)])


_IMAGE_FIELDS: list[Field[tuple[str, ImageDifference]]] = [
    Field("loader and settings", lambda row: row[0]),
    Field("image", lambda row: row[1].path),
    Field("mean", lambda row: number(row[1].mean), "mean absolute difference, in levels"),
    Field("largest", lambda row: row[1].largest, "largest difference of any value, in levels"),
    Field("cause", lambda row: row[1].reason, "what explains it best"),
]


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
    return dots_chart(
        title,
        f"Mean difference of the worst image from {comparison.reference}, in levels of 0 to 255.",
        rows,
        "mean difference of the worst image, in levels",
        [Line(comparison.tolerance, f"tolerance: {comparison.tolerance:g}")],
        zero=True,
    )


def _loaders_table(comparison: PixelComparison) -> Table:
    def compared(value: Callable[[LoaderPixels], Cell]) -> Callable[[LoaderPixels], Cell]:
        """Return a function that has no value for the reference and for what failed."""
        return lambda one: None if _outcome(one, comparison) not in _COMPARED else value(one)

    same = f"same: no image differs by more than {comparison.tolerance:g} on average"
    fields: list[Field[LoaderPixels]] = [
        Field("loader and settings", name_of),
        Field("verdict", lambda one: _outcome(one, comparison), same),
        Field(
            "worst image",
            compared(lambda one: number(one.worst_mean, ".2f")),
            "largest mean of an image, in levels",
        ),
        Field(
            "identical",
            compared(lambda one: number(one.identical, ".1%")),
            "images without any difference",
        ),
        Field(
            "mean",
            compared(lambda one: number(one.mean, ".3f")),
            "over all values of all images, in levels",
        ),
        Field(
            "largest",
            compared(lambda one: one.largest),
            "largest difference of any value, in levels",
        ),
        Field("cause", lambda one: one.error or _causes(one), "of the images that differ most"),
    ]
    note = f"{quantity(comparison.images, 'image')}; differences in levels of 0 to 255."
    return table_of("Loaders", fields, comparison.loaders, note=note)


def _outcome(one: LoaderPixels, comparison: PixelComparison) -> str:
    if one.error:
        return "failed" if one.comparable else "not compared"
    if name_of(one) == comparison.reference:
        return "reference"
    return "same" if one.within else "different"


def _causes(one: LoaderPixels) -> str:
    causes = Counter(image.reason for image in one.worst if image.reason)
    return ", ".join(cause for cause, _ in causes.most_common())


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
            text = f"{path.name} is not shown: it is too large for this page, or not a PNG."
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
