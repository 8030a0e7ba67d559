"""The report of the self-test in full: known bottlenecks, diagnosed and undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from feedbench.bench.html.charts.dots import Dot, Line
from feedbench.bench.html.kinds.cells import Field, dots_chart, number, table_of
from feedbench.bench.html.kinds.environment import facts_section
from feedbench.bench.html.parts import Chart, Code, Figure, Headline, Report, Section, Table
from feedbench.bench.results.kinds import SelfTestResult
from feedbench.bench.selftest.report import BatteryResult, CaseResult, verdict_text


def report_of_selftest(result: SelfTestResult) -> Report:
    """Return the report of all injected bottlenecks."""
    battery = result.battery
    command = Code("feedbench selftest --full", "Check again")
    sections = [
        Section("Bottlenecks", [*_predictions(battery), _cases(battery)], "cases"),
        facts_section(battery.environment),
        Section("Repeat", [command], "repeat"),
    ]
    return Report("Self-test in full", Headline(_sentence(battery)), sections)


def _sentence(battery: BatteryResult) -> str:
    tried = [case for case in battery.cases if case.skipped is None]
    failed = [case.name for case in tried if not case.passed]
    if not failed:
        return f"All {len(tried)} injected bottlenecks were named, and the gains were predicted."
    return f"{len(failed)} of {len(tried)} injected bottlenecks failed: {', '.join(failed)}."


def _predictions(battery: BatteryResult) -> Iterator[Chart]:
    """Yield measured rates with the predicted ones, both relative to the measurement."""
    rows = [
        Dot(
            f"{case.name}: {one.change}",
            one.ratio,
            f"{one.ratio:.2f}",
            None if one.low is None else one.low / one.measured,
            None if one.high is None else one.high / one.measured,
            "plain" if one.passed else "cost",
        )
        for case in battery.cases
        for one in case.checked
        if one.measured
    ]
    if not rows:
        return
    within = sum(row.role == "plain" for row in rows)
    yield dots_chart(
        f"{within} of {len(rows)} predictions are within 10 % of what was then measured",
        "Predicted rate divided by the rate after the change was made.",
        rows,
        "predicted ÷ measured",
        [Line(1.0, "as predicted")],
    )


class _Row(NamedTuple):
    """A case with one of its predictions, if it has any."""

    case: CaseResult
    change: str | None = None
    predicted: Figure | None = None
    measured: float | None = None
    ratio: float | None = None


def _rows(case: CaseResult) -> Iterator[_Row]:
    if not case.checked:
        yield _Row(case)
    for one in case.checked:
        predicted = Figure(one.predicted, one.low, one.high)
        yield _Row(case, one.change, predicted, one.measured, one.ratio)


def _cases(battery: BatteryResult) -> Table:
    rows = (row for case in battery.cases for row in _rows(case))
    return table_of("Injected bottlenecks", _FIELDS, rows)


_FIELDS: list[Field[_Row]] = [
    Field("injected", lambda row: row.case.name),
    Field("result", lambda row: verdict_text(row.case)),
    Field("loader", lambda row: row.case.loader),
    Field("stall", lambda row: number(row.case.stall, ".0%"), "share of the time that was lost"),
    Field("what if", lambda row: row.change),
    Field("predicted, images/s", lambda row: row.predicted),
    Field("measured, images/s", lambda row: number(row.measured, ",.0f")),
    Field("predicted ÷ measured", lambda row: number(row.ratio, ".2f")),
]
