"""Cells of tables as text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from feedbench.bench.html.parts import Cell, Figure

_NOTHING = "–"
_WHOLE = 1000  # numbers without a format are rounded to integers from here on


@dataclass(frozen=True)
class Shown:
    """A cell as it is printed.

    Attributes:
        interval: printed fainter, after the text.
        sort: what a column is sorted by; None: by the text.
    """

    text: str
    interval: str = ""
    sort: float | None = None


def shown(cell: Cell) -> Shown:
    """Return a cell as it is printed; – where there is nothing to say."""
    if cell is None or cell == "":
        return Shown(_NOTHING)
    if isinstance(cell, str):
        return Shown(cell)
    if isinstance(cell, Figure):
        return _figure(cell)
    return _number(cell)


def _figure(figure: Figure) -> Shown:
    if figure.value is None or not math.isfinite(figure.value):
        return Shown(_NOTHING)
    form = _without_minus_zero(figure.format)
    text = figure.text or _with_unit(f"{figure.value:{form}}", figure.unit)
    if figure.low is None or figure.high is None or figure.low == figure.value == figure.high:
        return Shown(text, sort=figure.value)
    interval = f"[{figure.low:{form}}, {figure.high:{form}}]"
    return Shown(text, interval, figure.value)


def _without_minus_zero(form: str) -> str:
    """Return a format by which what is rounded to zero has no minus."""
    if not form.endswith(("f", "%")):
        return form
    sign = form[:1] if form[:1] in ("+", "-", " ") else ""
    return f"{sign}z{form.removeprefix(sign)}"


def _number(number: float) -> Shown:
    if not math.isfinite(number):
        return Shown(_NOTHING)
    form = "," if isinstance(number, int) else ",.0f" if abs(number) >= _WHOLE else ".4g"
    return Shown(f"{number:{form}}", sort=number)


def _with_unit(text: str, unit: str) -> str:
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text
