"""The worst differences as one PNG: reference, loader, and the difference amplified."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from feedbench.bench.files import replacing
from feedbench.bench.pixels.compare import Pictures, Worst, difference

_TILE, _GAP, _TEXT = 160, 6, 30  # pixels
_AMPLIFIED = 8
_INK, _PAPER = (20, 20, 20), (255, 255, 255)
_LONGEST = 78  # signs of a caption


class ContactSheet:
    """Gathers lines of three pictures, then writes them."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, list[Pictures]]] = []

    def add(self, loader: str, worst: list[Worst], own: Pictures, reference: Pictures) -> None:
        """A loader's worst images, uint8 `[images, side, side, 3]`, and the reference's."""
        for one, shown, wanted in zip(worst, own, reference, strict=True):
            apart = np.clip(difference(shown, wanted) * _AMPLIFIED, 0, 255).astype(np.uint8)
            caption = f"{loader}: mean {one.mean:.2f}, largest {one.largest}, {one.reason}"
            self._lines.append((f"{caption}\n{_short(one.path)}", [wanted, shown, apart]))

    def write(self, path: Path) -> None:
        """Write the PNG, whole or not at all.

        Raises:
            RecordError: it cannot be written.
        """
        from PIL import Image, ImageDraw

        height = max(1, len(self._lines)) * (_TILE + _TEXT + _GAP) + _TEXT
        sheet = Image.new("RGB", (3 * (_TILE + _GAP) + _GAP, height), _PAPER)
        draw = ImageDraw.Draw(sheet)
        head = f"reference | loader | difference x {_AMPLIFIED}"
        draw.text((_GAP, _GAP), head if self._lines else "no difference", _INK)
        for number, (caption, pictures) in enumerate(self._lines):
            top = _TEXT + number * (_TILE + _TEXT + _GAP)
            draw.text((_GAP, top), caption, _INK)
            for column, shown in enumerate(pictures):
                tile = Image.fromarray(shown).resize((_TILE, _TILE), Image.Resampling.NEAREST)
                sheet.paste(tile, (_GAP + column * (_TILE + _GAP), top + _TEXT))
        with replacing(path) as beside:
            sheet.save(beside, "PNG", optimize=True)


def _short(path: str) -> str:
    return path if len(path) <= _LONGEST else f"…{path[1 - _LONGEST :]}"
