"""Draws the worst differences into one PNG: reference, loader, and the amplified difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from feedbench.bench.files import replacing
from feedbench.bench.pixels.compare import Images, difference
from feedbench.bench.pixels.result import ImageDifference

_TILE, _GAP, _CAPTION = 160, 6, 30  # pixels
_AMPLIFICATION = 8
_INK, _PAPER = (20, 20, 20), (255, 255, 255)
_MAX_PATH = 78  # characters of a caption's line


class ContactSheet:
    """Collects rows of three images and a caption, then writes them."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, list[Images]]] = []

    def add(
        self, loader: str, worst: list[ImageDifference], images: Images, reference: Images
    ) -> None:
        """Add a row for each of a loader's worst differences.

        Args:
            loader: name and settings.
            worst: the differences.
            images: the loader's images of them, uint8 `[images, side, side, 3]`.
            reference: the reference's images of them.
        """
        for result, image, expected in zip(worst, images, reference, strict=True):
            amplified = np.clip(difference(image, expected) * _AMPLIFICATION, 0, 255)
            numbers = f"mean {result.mean:.2f}, largest {result.largest}, {result.reason}"
            caption = f"{loader}: {numbers}\n{_shortened(result.path)}"
            self._rows.append((caption, [expected, image, amplified.astype(np.uint8)]))

    def write(self, path: Path) -> None:
        """Write the PNG atomically.

        Raises:
            RecordError: the file cannot be written.
        """
        from PIL import Image, ImageDraw

        height = max(1, len(self._rows)) * (_TILE + _CAPTION + _GAP) + _CAPTION
        sheet = Image.new("RGB", (3 * (_TILE + _GAP) + _GAP, height), _PAPER)
        draw = ImageDraw.Draw(sheet)
        head = f"reference | loader | difference x {_AMPLIFICATION}"
        draw.text((_GAP, _GAP), head if self._rows else "no difference", _INK)
        for index, (caption, images) in enumerate(self._rows):
            top = _CAPTION + index * (_TILE + _CAPTION + _GAP)
            draw.text((_GAP, top), caption, _INK)
            for column, pixels in enumerate(images):
                tile = Image.fromarray(pixels).resize((_TILE, _TILE), Image.Resampling.NEAREST)
                sheet.paste(tile, (_GAP + column * (_TILE + _GAP), top + _CAPTION))
        with replacing(path) as temporary:
            sheet.save(temporary, "PNG", optimize=True)


def _shortened(path: str) -> str:
    """Return the end of a path that is too long for a caption."""
    return path if len(path) <= _MAX_PATH else f"…{path[1 - _MAX_PATH :]}"
