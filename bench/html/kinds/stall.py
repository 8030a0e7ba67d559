"""The stall of a diagnosis as a waterfall: from the consumer's ceiling down to the rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.model import Cause
from feedbench.bench.diagnose.notes import cause_text
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.stall_shares import StallPart
from feedbench.bench.diagnose.verdict import Diagnosis, consumer_name
from feedbench.bench.html.charts.waterfall import End, Step, waterfall
from feedbench.bench.html.kinds.cells import Field, number, table_of
from feedbench.bench.html.parts import Chart

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
    name_of = partial(cause_text, record)
    steps = [_step(name_of(part.cause), part, ceiling, diagnosis.bottleneck) for part in causes]
    alone = End(f"{consumer_name(record)} alone", ceiling, f"{ceiling:,.0f}")
    left = End("end to end", rate, f"{rate:,.0f}", "marked")
    title = _stall_title(diagnosis, stall, name_of)
    return Chart(
        title,
        f"{title}. From {ceiling:,.0f} images per second of {consumer_name(record)} alone down to "
        f"{rate:,.0f} end to end. " + "; ".join(f"{step.name} {step.text}" for step in steps),
        waterfall(alone, steps, left, "images per second"),
        table=table_of("Causes of the stall", _fields(ceiling, name_of), causes),
    )


def _step(cause: str, part: StallPart, ceiling: float, main: StallPart | None) -> Step:
    lost = part.stall * ceiling
    is_main = main is not None and part.cause == main.cause
    name = f"bottleneck: {cause}" if is_main else cause  # first: a phone may cut the end
    points = f"{-100 * part.stall:+.1f} points"
    return Step(name, lost, f"{points}, {-lost:+,.0f}", "cost" if is_main else "plain")


def _stall_title(diagnosis: Diagnosis, stall: Estimate, name_of: Callable[[Cause], str]) -> str:
    main, lost = diagnosis.bottleneck, f"{100 * stall.value:.0f}"
    if main is None or not main.stall or main.cause in ("accelerator", "transfer"):
        return f"{lost} points of 100 are lost"
    share = f"{100 * main.stall:.0f} of the {lost} points that are lost"
    cause = name_of(main.cause)
    if cause == "unexplained":
        return f"{share} have no part that was measured alone"
    if main.cause == "unexplained":
        return f"{cause[0].upper()}{cause[1:]} cost {share}"
    if main.cause == "service workers":
        return f"The work of the service workers costs {share}"
    return f"{cause[0].upper()}{cause[1:]} costs {share}"


def _fields(ceiling: float, name_of: Callable[[Cause], str]) -> list[Field[StallPart]]:
    return [
        Field("cause", lambda part: name_of(part.cause)),
        Field(
            "share of the time",
            lambda part: number(part.stall, ".1%"),
            "idle time of the accelerator that disappears with it",
        ),
        Field(
            "images/s lost",
            lambda part: number(part.stall * ceiling, ",.0f"),
            "share × rate of the consumer alone",
        ),
        Field(
            "images/s without it",
            lambda part: number(part.rate_without, ",.0f"),
            "if this cause alone cost nothing",
        ),
        Field(
            "stall without it",
            lambda part: number(part.stall_without, ".1%"),
            "share of the time that would still be lost",
        ),
    ]
