"""The stall of a diagnosis as a waterfall: from the consumer's ceiling down to the rate."""

from __future__ import annotations

from collections.abc import Sequence

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.stall_shares import StallPart
from feedbench.bench.diagnose.verdict import Diagnosis, consumer_name
from feedbench.bench.html.charts.waterfall import End, Step, waterfall
from feedbench.bench.html.kinds.cells import number
from feedbench.bench.html.parts import Cell, Chart, Column, Table

_VISIBLE = 0.0005  # a smaller share of the stall would be printed as 0.0%
OVERLAP = (
    "The causes overlap. Each share is the mean over all orders in which the causes can be taken "
    "away, so that nothing counts twice and the steps add up to the stall."
)


def stall_chart(record: DiagnosisRecord, diagnosis: Diagnosis) -> Chart | None:
    """Return the waterfall from the consumer's ceiling down to the rate; None without a verdict."""
    stall, rate = diagnosis.stall, diagnosis.end_to_end
    if stall is None or rate is None or stall.value >= 1:
        return None
    ceiling = rate / (1 - stall.value)
    causes = [part for part in diagnosis.shares if abs(part.stall) >= _VISIBLE]
    steps = [_step(part, ceiling, diagnosis.bottleneck) for part in causes]
    alone = End(f"{consumer_name(record)} alone", ceiling, f"{ceiling:,.0f}")
    left = End("end to end", rate, f"{rate:,.0f}", "marked")
    title = _stall_title(diagnosis, stall)
    return Chart(
        title,
        f"{title}. From {ceiling:,.0f} images per second of {consumer_name(record)} alone down to "
        f"{rate:,.0f} end to end. " + "; ".join(f"{step.name} {step.text}" for step in steps),
        waterfall(alone, steps, left, "images per second"),
        table=_shares_table(causes, ceiling),
    )


def _step(part: StallPart, ceiling: float, main: StallPart | None) -> Step:
    lost = part.stall * ceiling
    is_main = main is not None and part.cause == main.cause
    name = f"{part.cause}  ← bottleneck" if is_main else part.cause
    points = f"{-100 * part.stall:+.1f} points"
    return Step(name, lost, f"{points}, {-lost:+,.0f}", "cost" if is_main else "plain")


def _stall_title(diagnosis: Diagnosis, stall: Estimate) -> str:
    main = diagnosis.bottleneck
    if main is None or not main.stall or main.cause in ("accelerator", "transfer"):
        return f"{100 * stall.value:.0f} points of 100 are lost"
    return (
        f"{main.cause[0].upper()}{main.cause[1:]} costs {100 * main.stall:.0f} of the "
        f"{100 * stall.value:.0f} points that are lost"
    )


def _shares_table(causes: Sequence[StallPart], ceiling: float) -> Table:
    columns = [
        Column("cause"),
        Column("share of the time", "idle time of the accelerator that goes with it", numeric=True),
        Column("images/s lost", "share × rate of the consumer alone", numeric=True),
        Column("images/s without it", "if this cause alone cost nothing", numeric=True),
        Column("stall without it", "share of the time that would still be lost", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            part.cause,
            number(part.stall, ".1%"),
            number(part.stall * ceiling, ",.0f"),
            number(part.rate_without, ",.0f"),
            number(part.stall_without, ".1%"),
        ]
        for part in causes
    ]
    return Table("Causes of the stall", columns, rows)
