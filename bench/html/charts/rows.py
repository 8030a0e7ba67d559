"""Rows with a name, a mark and a value: side by side in a wide chart, else the mark below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feedbench.bench.html.charts.frame import HALO, Spec, frame, value_axis

_BELOW = 44  # pixels per row of a narrow chart: a line of text above its mark
_BESIDE = 30  # of a wide one
_TEXT_AT, _MARK_AT = -12, 4  # pixels from the middle of a row, if the mark is below
_CHARACTERS = {400: 7.4, 700: 8.4}  # pixels, by the weight of a text
_GAP = 18  # pixels between a text and the plot
_LEAST_PLOT = 300  # pixels that a wide chart leaves to its marks
_NARROW = 480  # pixels of a chart on a phone


@dataclass(frozen=True)
class Rows:
    """The rows of a chart, in its own width: a page may be as wide as a phone or a screen.

    Attributes:
        names: at the left.
        texts: the values at the right.
        briefs: those of a chart on a phone.
        header: whether a row is above them, for the names of reference lines.
    """

    names: Sequence[str]
    texts: Sequence[str]
    briefs: Sequence[str]
    header: bool = False

    def frame(self, layers: Sequence[Spec], values: Sequence[Spec]) -> Spec:
        """Return the chart of some layers over the same data, one per row."""
        count = len(self.names) + self.header
        # Read by charts.js: Vega-Lite takes a height that does not depend on the width.
        wide = {"from": self._wide_from, "height": _BESIDE * count}
        return frame(layers, values, _BELOW * count, usermeta={"wide": wide})

    def y(self) -> Spec:
        """Return the vertical encoding of the rows, numbered from 0, without an axis."""
        domain = list(range(-1 if self.header else 0, len(self.names)))
        return {"field": "row", "type": "ordinal", "axis": None, "scale": {"domain": domain}}

    def x(self, title: str, low: float, high: float, *, log: bool = False, form: str = "") -> Spec:
        """Return the horizontal encoding of a quantity, beside the texts of a wide chart.

        Args:
            title: with the unit.
            low, high: ends of the axis.
            form: D3 format of its labels.
        """
        encoding = value_axis(title, low, high, log=log, format=form)
        begin, end = (
            self._by_width(f"{self._left}", "0"),
            self._by_width(f"width - {self._right}", "width"),
        )
        encoding["scale"] |= {"range": [begin, end]}
        return encoding

    def mark(self, kind: str, **options: object) -> Spec:
        """Return a mark that stands in its row, below the texts of a narrow chart."""
        return {"type": kind, "yOffset": self._by_width("0", f"{_MARK_AT}"), **options}

    def labels(self) -> list[Spec]:
        """Return the layers with the name of each row at the left and its value at the right."""
        text = {"condition": {"test": f"width < {_NARROW}", "field": "short"}, "field": "text"}
        offset = self._by_width("0", f"{_TEXT_AT}")
        name, value = (
            {"type": "text", "align": align, "yOffset": offset, **HALO}
            for align in ("left", "right")
        )
        return [
            layer
            for test, weight in (("datum.role !== 'marked'", 400), ("datum.role === 'marked'", 700))
            for layer in (
                self._label(
                    {**name, "limit": self._limit(weight), "fontWeight": weight},
                    0,
                    {"field": "name"},
                    test,
                ),
                self._label({**value, "fontWeight": weight}, "width", text, test),
            )
        ]

    @property
    def _left(self) -> int:
        return _pixels(self.names, 400) + _GAP

    @property
    def _right(self) -> int:
        return _pixels(self.texts, 400) + _GAP

    @property
    def _wide_from(self) -> int:
        return self._left + _LEAST_PLOT + self._right

    def _by_width(self, wide: str, narrow: str) -> Spec:
        return {"expr": f"width >= {self._wide_from} ? {wide} : {narrow}"}

    def _limit(self, weight: int) -> Spec:
        """Return the pixels of a name, for which its value leaves room."""
        room, less = (_pixels(texts, weight) for texts in (self.texts, self.briefs))
        return {"expr": f"max(80, width - (width < {_NARROW} ? {less} : {room}) - 12)"}

    def _label(self, mark: Spec, x: int | str, text: Spec, test: str) -> Spec:
        encoding = {"x": {"value": x}, "y": self.y(), "text": text}
        return {"transform": [{"filter": test}], "mark": mark, "encoding": encoding}


def _pixels(texts: Sequence[str], weight: int) -> int:
    return round(_CHARACTERS[weight] * max(map(len, texts), default=0))


def short(text: str) -> str:
    """Return a value without its interval, which the mark shows."""
    return text.partition(" [")[0]
