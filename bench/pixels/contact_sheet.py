"""Draws the worst differences side by side: reference, loader, and the amplified difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from feedbench.bench.figures.figure import axes_at, saved_figure
from feedbench.bench.figures.heading import Heading, wrapped
from feedbench.bench.figures.style import INK, MUTED, SMALL_SIZE
from feedbench.bench.pixels.compare import Images, difference
from feedbench.bench.pixels.result import ImageDifference

_DPI = 100
_TILE = 192  # pixels: small images are enlarged by whole numbers up to about this size
_GAP, _LINE = 8, 15  # pixels
_BRIGHT = 99.5  # percentile of the differences that amplification brings to full brightness
_ASPECT = 1.5  # width of the sheet by its height, at most
_EMPTY_INCHES = (6.0, 0.2)


@dataclass(frozen=True)
class _Cell:
    """One image of one loader beside the reference's.

    Attributes:
        loaders: that all gave this very image.
        image, reference: uint8 `[side, side, 3]`.
    """

    loaders: tuple[str, ...]
    result: ImageDifference
    image: Images
    reference: Images

    def is_same(self, other: _Cell) -> bool:
        """Whether both show the same pixels of the same file."""
        return self.result.row == other.result.row and np.array_equal(self.image, other.image)


class ContactSheet:
    """Collects the worst images of each loader, then draws them."""

    def __init__(self) -> None:
        self._cells: list[_Cell] = []

    def add(
        self, loader: str, worst: list[ImageDifference], images: Images, reference: Images
    ) -> None:
        """Add each of a loader's worst differences, or its name where another gave the same image.

        Args:
            loader: name and settings.
            worst: the differences.
            images: the loader's images of them, uint8 `[images, side, side, 3]`.
            reference: the reference's images of them.
        """
        for result, image, expected in zip(worst, images, reference, strict=True):
            self._add(_Cell((loader,), result, image, expected))

    def _add(self, new: _Cell) -> None:
        for index, cell in enumerate(self._cells):
            if cell.is_same(new):
                together = (*cell.loaders, *new.loaders)
                self._cells[index] = _Cell(together, cell.result, cell.image, cell.reference)
                return
        self._cells.append(new)

    def write(self, path: Path, reference: str) -> None:
        """Draw the sheet into a file, PNG or SVG by its suffix.

        Args:
            path: the file.
            reference: name and settings of the loader that all were compared with.

        Raises:
            RecordError: the file cannot be written, or its format is unknown.
        """
        heading = Heading(self._title(reference), "", _NOTE if self._cells else "")
        if not self._cells:
            with saved_figure(path, *_EMPTY_INCHES, heading, _DPI):
                return
        _draw(path, self._cells, reference, heading)

    def _title(self, reference: str) -> str:
        if not self._cells:
            return f"No pixel differs from {reference}"
        worst = max(self._cells, key=lambda cell: cell.result.mean)
        return (
            f"The worst image of {worst.loaders[0]} differs from {reference} by "
            f"{worst.result.mean:.1f} of 255 levels on average"
        )


_NOTE = (
    "Each row: the reference's image, the loader's, and their absolute difference, multiplied as "
    "written above it. Levels are 0 to 255."
)


def _draw(path: Path, cells: Sequence[_Cell], reference: str, heading: Heading) -> None:
    tile = _tile_size(len(cells[0].image))
    width = 3 * (tile + _GAP) + 2 * _GAP
    captions = [_caption(cell, reference, width) for cell in cells]
    head = max(len(lines) for lines, _ in captions) * _LINE + _LINE + 6
    height = head + tile + 2 * _GAP
    columns = _columns(len(cells), width, height)
    rows = math.ceil(len(cells) / columns)
    inches = (columns * width / _DPI, rows * height / _DPI)
    with saved_figure(path, *inches, heading, _DPI) as figure:
        axes = _pixel_axes(figure, columns * width, rows * height)
        for index, (cell, (lines, factor)) in enumerate(zip(cells, captions, strict=True)):
            left, top = index % columns * width + _GAP, index // columns * height
            _write(axes, left, top, lines, head, tile, factor)
            amplified = np.clip(difference(cell.image, cell.reference) * factor, 0, 255)
            images = (cell.reference, cell.image, amplified.astype(np.uint8))
            for place, image in enumerate(images):
                x, y = left + place * (tile + _GAP), top + head
                _paste(axes, image, x, y, tile)


def _pixel_axes(figure: Any, width: int, height: int) -> Any:
    """Return invisible axes over the whole sheet, in pixels from its upper left corner."""
    axes = axes_at(figure, 0, 0, width / _DPI, height / _DPI)
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    return axes


def _paste(axes: Any, image: Images, x: int, y: int, tile: int) -> None:
    kind = "nearest" if tile >= len(image) else "antialiased"
    axes.imshow(image, extent=(x, x + tile, y + tile, y), interpolation=kind, aspect="auto")


def _write(
    axes: Any, left: int, top: int, lines: Sequence[str], head: int, tile: int, factor: int
) -> None:
    """Write what a row shows above it, and what each of its images is."""
    style = {"fontsize": SMALL_SIZE, "va": "bottom"}
    y = top + head - _LINE - 4
    for number, line in enumerate(reversed(lines)):
        axes.text(left, y - number * _LINE, line, color=INK, **style)
    for place, name in enumerate(("reference", "loader", f"difference × {factor}")):
        axes.text(left + place * (tile + _GAP), top + head - 2, name, color=MUTED, **style)


def _caption(cell: _Cell, reference: str, width: int) -> tuple[list[str], int]:
    """Return the lines above a row, and by how much its difference is amplified."""
    result = cell.result
    room = (width - 3 * _GAP) / _DPI
    levels = difference(cell.image, cell.reference)
    bright = float(np.percentile(levels, _BRIGHT)) or 1.0
    reason = f": {result.reason}" if result.reason else ""
    texts = (
        f"{', '.join(cell.loaders)} against {reference}{reason}",
        f"mean {result.mean:.2f}, largest {result.largest} levels",
        result.path,
    )
    lines = [line for text in texts for line in wrapped(text, SMALL_SIZE, room)]
    return lines, max(1, int(255 / max(1.0, bright)))


def _tile_size(side: int) -> int:
    """Return the side of a tile in pixels: a multiple of the image's, unless it is larger."""
    return side * max(1, _TILE // side) if side <= _TILE * 4 // 3 else _TILE


def _columns(cells: int, width: int, height: int) -> int:
    """Return the number of columns with which the sheet is about as wide as it is high."""
    columns = math.sqrt(cells * height / width * _ASPECT)
    return min(cells, max(1, round(columns)))
