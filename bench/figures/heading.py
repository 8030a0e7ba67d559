"""The heading of a picture, which states what was found, and the note under it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from feedbench.bench.figures.style import MUTED, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE

MARGIN = 0.12  # inches around the whole picture
_LINE = 1.35  # height of a line, as a multiple of its font size
_POINTS = 72  # per inch


@dataclass(frozen=True)
class Heading:
    """The texts of a picture; lines that are too long are wrapped.

    Attributes:
        title: what was found, as a sentence without a full stop.
        subtitle: of what: loader, batches, consumer, machine.
        note: below the picture: how to read it.
    """

    title: str
    subtitle: str = ""
    note: str = ""


@dataclass(frozen=True)
class Lines:
    """Wrapped text in one font.

    Attributes:
        size: in points.
    """

    lines: list[str]
    size: float
    weight: str
    color: str

    @property
    def inches(self) -> float:
        """The height of all lines."""
        return len(self.lines) * self.size * _LINE / _POINTS


def above(heading: Heading, width: float) -> list[Lines]:
    """Return title and subtitle, wrapped to a width in inches."""
    title = _lines(heading.title, TITLE_SIZE, width, weight="bold", color="black")
    return [title, _lines(heading.subtitle, TEXT_SIZE, width)]


def below(heading: Heading, width: float) -> list[Lines]:
    """Return the note, wrapped to a width in inches."""
    return [_lines(heading.note, SMALL_SIZE, width)]


def inches(texts: list[Lines]) -> float:
    """Return the height of the texts with a margin before and after them; 0 without any."""
    height = sum(text.inches for text in texts)
    return height + 2 * MARGIN if height else 0.0


def write(figure: Any, texts: list[Lines], top: float) -> None:
    """Write the texts under each other, from a height in inches downwards."""
    width, height = figure.get_size_inches()
    y = top - MARGIN
    for text in texts:
        for line in text.lines:
            place = {"ha": "left", "va": "top", "color": text.color}
            style = {"fontsize": text.size, "fontweight": text.weight}
            figure.text(MARGIN / width, y / height, line, **place, **style)
            y -= text.size * _LINE / _POINTS


def _lines(
    text: str, size: float, width: float, *, weight: str = "normal", color: str = MUTED
) -> Lines:
    return Lines(wrapped(text, size, width, weight) if text else [], size, weight, color)


def wrapped(text: str, size: float, width: float, weight: str = "normal") -> list[str]:
    """Return the lines of a text, wrapped at this width in inches.

    Words that are wider, such as paths, are broken.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(longer, size, weight) <= width:
            lines[-1] = longer
            continue
        pieces = list(_pieces(word, size, width, weight))
        lines = [*(lines if lines[-1] else lines[:-1]), *pieces]
    return lines


def _pieces(word: str, size: float, width: float, weight: str) -> Iterator[str]:
    while text_width(word, size, weight) > width and len(word) > 1:
        fitting = len(word)
        while fitting > 1 and text_width(word[:fitting], size, weight) > width:
            fitting = fitting * 9 // 10 if fitting > 10 else fitting - 1
        yield word[:fitting]
        word = word[fitting:]
    yield word


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a line in inches."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    from feedbench.bench.figures.fonts import families

    font = FontProperties(family=families(), size=size, weight=weight)
    width, _, _ = RendererAgg(1, 1, _POINTS).get_text_width_height_descent(text, font, False)
    return float(width) / _POINTS
