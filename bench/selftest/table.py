"""What `selftest --full` prints: the verdict on each injected bottleneck, and its predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.report.document import Column, Part, TableData, only_csv, words
from feedbench.bench.selftest.report import BatteryResult, CaseResult, Checked, verdict_text


@dataclass(frozen=True)
class _Row:
    """A prediction of a case; the case is named in its first row."""

    case: CaseResult
    checked: Checked | None
    is_first: bool


def parts(result: BatteryResult) -> Iterator[Part]:
    """Yield what is printed: one row per prediction."""
    yield TableData(
        name="cases",
        title="Injected bottlenecks",
        columns=[
            words("injected", "injected", lambda row: row.case.name, text=_name),
            words("loader", "loader", lambda row: row.case.loader, text=_loader, importance=1),
            words("verdict", "named", lambda row: row.case.named, text=_verdict),
            only_csv("expected", lambda row: row.case.expected),
            Column("stall", "stall", lambda row: row.case.stall, _stall, 3),
            words("what if", "what_if", lambda row: row.checked and row.checked.change),
            Column(
                "predicted", "predicted_images_per_second", _predicted, _range, has_interval=True
            ),
            Column(
                "measured",
                "measured_images_per_second",
                lambda row: row.checked and row.checked.measured,
                "{:,.0f}",
                importance=2,
            ),
            Column("ratio", "ratio", lambda row: row.checked and row.checked.ratio, _ratio),
            only_csv("passed", lambda row: row.case.passed),
        ],
        rows=[row for case in result.cases for row in _rows(case)],
        legend="predicted, measured: images per second after the change. ratio: one ÷ the other."
        + "".join(_drifts(result)),
    )


def _rows(case: CaseResult) -> list[_Row]:
    return [_Row(case, one, not index) for index, one in enumerate(case.checked or [None])]


def _drifts(result: BatteryResult) -> Iterator[str]:
    """Yield what to know of the cases that were measured again."""
    for case in result.cases:
        if case.attempts > 1:
            yield (
                f" {case.name}: measured {case.attempts} times, because the machine's speed changed"
                f" meanwhile; by {case.drift:.0%} in the last."
            )


def _name(row: _Row) -> str:
    return row.case.name if row.is_first else " "


def _loader(row: _Row) -> str:
    return row.case.loader if row.is_first else " "


def _verdict(row: _Row) -> str:
    return verdict_text(row.case) if row.is_first else " "


def _stall(row: _Row) -> str:
    if row.case.stall is None:
        return ""
    return f"{row.case.stall:.0%}" if row.is_first else " "


def _predicted(row: _Row) -> Estimate | None:
    one = row.checked
    return None if one is None else Estimate(value=one.predicted, low=one.low, high=one.high)


def _range(row: _Row) -> str:
    """Return the prediction with its range, which is no confidence interval."""
    one = row.checked
    if one is None or one.low is None or one.high is None:
        return "" if one is None else f"{one.predicted:,.0f}"
    return f"{one.predicted:,.0f} ({one.low:,.0f}–{one.high:,.0f})"


def _ratio(row: _Row) -> str:
    if row.checked is None:
        return ""
    return f"{row.checked.ratio:.2f}" + ("" if row.checked.passed else " FAILED")
