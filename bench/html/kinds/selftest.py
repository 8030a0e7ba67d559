"""The report of the self-test in full: known bottlenecks, diagnosed and undone."""

from __future__ import annotations

from collections.abc import Iterator

from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.kinds.cells import dots_table, listed, number
from feedbench.bench.html.kinds.environment import facts_section
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Figure,
    Headline,
    Report,
    Section,
    Table,
)
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
        return f"All {len(tried)} injected bottlenecks were named, and what removes them predicted."
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
    yield Chart(
        f"{within} of {len(rows)} predictions are within 10 % of what was then measured",
        f"Predicted rate divided by the rate after the change was made. {listed(rows)}",
        dots(rows, "predicted ÷ measured", [Line(1.0, "as predicted")], zero=False),
        table=dots_table("Predictions", "predicted ÷ measured", rows),
    )


def _cases(battery: BatteryResult) -> Table:
    columns = [
        Column("injected"),
        Column("loader"),
        Column("result"),
        Column("stall", "share of the time that was lost", numeric=True),
        Column("what if"),
        Column("predicted, images/s", numeric=True),
        Column("measured, images/s", numeric=True),
        Column("predicted ÷ measured", numeric=True),
    ]
    rows = [row for case in battery.cases for row in _rows(case)]
    return Table("Injected bottlenecks", columns, rows)


def _rows(case: CaseResult) -> Iterator[list[Cell]]:
    first: list[Cell] = [case.name, case.loader, verdict_text(case), number(case.stall, ".0%")]
    if not case.checked:
        yield [*first, "", None, None, None]
    for one in case.checked:
        predicted = Figure(one.predicted, one.low, one.high)
        ratio = number(one.ratio, ".2f")
        yield [*first, one.change, predicted, number(one.measured, ",.0f"), ratio]
