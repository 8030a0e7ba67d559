"""Values with their intervals, one row each: rates, ratios, predictions, effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.html.charts.colors import FAINT
from feedbench.bench.html.charts.frame import HALO, Role, Spec, role_color, row_tooltip
from feedbench.bench.html.charts.rows import Rows, short

_MARGIN = 0.06  # of the axis, on both sides
_LABELS = 0.2  # of the axis, on the right: a line across all rows does not cross their texts there
_SPREAD = 8.0  # largest ÷ smallest value of ratios from which the axis is logarithmic


@dataclass(frozen=True)
class Dot:
    """A value with its interval.

    Attributes:
        text: the value as it is printed.
        low, high: ends of the interval; None without one.
        other: a second value in the same row, drawn as a hollow diamond.
        brief: printed in place of the text in a narrow chart; by default the text without its
            interval.
    """

    name: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    role: Role = "plain"
    other: float | None = None
    brief: str = ""

    @property
    def extent(self) -> list[float]:
        """All numbers that the row shows."""
        return [one for one in (self.value, self.low, self.high, self.other) if one is not None]


@dataclass(frozen=True)
class Line:
    """A value that all rows are to be compared with."""

    value: float
    name: str


def dot_of(name: str, estimate: Estimate, spec: str, role: Role = "plain", unit: str = "") -> Dot:
    """Return an estimate as a row.

    Args:
        spec: format of its numbers.
    """
    return Dot(name, estimate.value, f"{estimate:{spec}}{unit}", estimate.low, estimate.high, role)


def dots(
    rows: Sequence[Dot], title: str, lines: Sequence[Line] = (), *, zero: bool, form: str = ""
) -> Spec:
    """Return a chart with one dot and whisker per row.

    Args:
        title: of the axis, with the unit.
        lines: drawn across all rows.
        zero: whether the axis starts at 0; otherwise it shows the values' range, and is
            logarithmic if they span more than a factor of eight.
        form: D3 format of the axis' labels.
    """
    values = [value for row in rows for value in row.extent] + [line.value for line in lines]
    low, high = (0.0, max(values)) if zero else (min(values), max(values))
    is_log = not zero and low > 0 and high / low > _SPREAD
    low, high = _padded(low, high, zero=zero, log=is_log)
    if lines:
        high = max(high, _right_of_lines(low, max(line.value for line in lines), log=is_log))
    briefs = [row.brief or short(row.text) for row in rows]
    layout = Rows(
        [row.name for row in rows], [row.text for row in rows], briefs, header=bool(lines)
    )
    x = layout.x(title + (", logarithmic" if is_log else ""), low, high, log=is_log, form=form)
    data: list[Spec] = [
        {"row": number, **asdict(row), "short": brief}
        for number, (row, brief) in enumerate(zip(rows, briefs, strict=True))
    ]
    layers = [
        *(_line(line, x) for line in lines),
        *(_name(line, x, (low + high) / 2) for line in lines),  # none behind another's line
        *_marks(x, layout, has_others=any(row.other is not None for row in rows)),
        *layout.labels(),
    ]
    return layout.frame(layers, data)


def _right_of_lines(low: float, last: float, *, log: bool) -> float:
    """Return the end of an axis on which the last line is left of the texts."""
    if log:
        return float(low * (last / low) ** (1 / (1 - _LABELS)))
    return low + (last - low) / (1 - _LABELS)


def _padded(low: float, high: float, *, zero: bool, log: bool) -> tuple[float, float]:
    if log:
        return low / 1.2, high * 1.2
    margin = _MARGIN * (high - low) or 0.05 * abs(high) or 1.0
    return (low if zero else low - margin), high + margin


def _marks(x: Spec, layout: Rows, *, has_others: bool) -> Iterator[Spec]:
    shared: Spec = {"y": layout.y(), "color": role_color(), "tooltip": row_tooltip()}
    yield {
        "transform": [{"filter": "isValid(datum.low)"}],
        "mark": layout.mark("rule", strokeWidth=3, strokeCap="round", opacity=0.6),
        "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, **shared},
    }
    yield {
        "mark": layout.mark("point", filled=True, size=90, opacity=1, strokeWidth=0),
        "encoding": {"x": {**x, "field": "value"}, **shared},
    }
    if has_others:
        hollow = layout.mark("point", shape="diamond", fill="transparent", size=110, strokeWidth=2)
        yield {
            "transform": [{"filter": "isValid(datum.other)"}],
            "mark": hollow,
            "encoding": {"x": {**x, "field": "other"}, **shared},
        }


def _line(line: Line, x: Spec) -> Spec:
    return {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "strokeDash": [4, 3], "color": FAINT, "strokeWidth": 1.5},
        "encoding": {"x": {**x, "datum": line.value}},
    }


def _name(line: Line, x: Spec, middle: float) -> Spec:
    align = "left" if line.value < middle else "right"
    return {
        "data": {"values": [{}]},
        "mark": {
            "type": "text",
            "align": align,
            "dx": 4 if align == "left" else -4,
            "y": 12,
            **HALO,
        },
        "encoding": {"x": {**x, "datum": line.value}, "text": {"value": line.name}},
    }
