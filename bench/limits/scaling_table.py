"""What `limits --scaling` prints: what keeps each loader from using more cores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from feedbench.bench.analysis.estimate import rate_text
from feedbench.bench.limits.scaling import LoaderScaling, RateOnCores
from feedbench.bench.report.document import (
    EMPTY,
    RATE,
    Column,
    Part,
    TableData,
    estimates,
    only_csv,
    words,
)

SHOWN = (16, 64)  # cores of the first table; the CSV has more
SCALING_NOTE = (
    "one by one: share of each image's CPU time under Python's lock, under another lock that "
    "Python code made, or in a thread that exists once, whatever the cores; sampled per CPU time, "
    "on one core and on two. stops at: cores beyond which more give nothing, since the lock or "
    "thread that is used most is always in use (in brackets, at least). On more cores: at least "
    "what Amdahl's law gives for that share, at most what that lock or thread and the cores "
    "allow. Assumed: each core is as fast as these, memory and storage keep up, and locks inside "
    "compiled libraries are never waited for."
)


def scaling_parts(scaling: list[LoaderScaling]) -> Iterator[Part]:
    """Yield the tables; nothing if this was not measured."""
    if scaling:
        yield scaling_table(scaling)
    if rows := measured_rows(scaling):
        yield cores_table(rows)


def scaling_table(scaling: list[LoaderScaling]) -> TableData[LoaderScaling]:
    """Return one row per loader."""
    return TableData(
        name="scaling",
        title="Many cores",
        columns=[
            words(
                "loader and settings",
                "loader",
                lambda row: row.loader,
                text=lambda row: f"{row.loader}\n{row.error}" if row.error else row.loader,
            ),
            estimates("one by one", "serial", lambda row: row.serial, "{:.1%}"),
            estimates("Python's lock", "python", lambda row: row.python, "{:.1%}", importance=4),
            estimates("other locks", "locks", lambda row: row.locks, "{:.1%}", importance=2),
            estimates("single threads", "threads", lambda row: row.threads, "{:.1%}", importance=3),
            words("used most", "limited_by", lambda row: row.limited_by, importance=5),
            Column("stops at\ncores", "stops_at", lambda row: row.stops_at, stops_text),
            only_csv("stops_at_least", lambda row: row.stops_at_least),
            *(_at(cores) for cores in SHOWN),
            only_csv("samples", lambda row: row.samples),
            only_csv("error", lambda row: row.error),
        ],
        rows=scaling,
        notes=[SCALING_NOTE],
    )


def stops_text(row: LoaderScaling) -> str:
    """Return the cores from which on more give nothing; empty if that was not measured."""
    if row.stops_at_least is None:
        return ""
    if row.stops_at is None:
        return f"> {row.stops_at_least:,.0f}"
    return f"{row.stops_at:,.0f} [≥ {row.stops_at_least:,.0f}]"


def _at(cores: int) -> Column[LoaderScaling]:
    return Column(
        f"images/s on\n{cores} cores",
        f"rate_on_{cores}",
        lambda row: range_text(rate_on(row, cores)),
        importance=6 if cores == max(SHOWN) else 1,
    )


def rate_on(row: LoaderScaling, cores: int) -> RateOnCores | None:
    """Return the rate on a number of cores; None if it was not extrapolated."""
    return next((rate for rate in row.rates if rate.cores == cores), None)


def range_text(rate: RateOnCores | None) -> str:
    """Return an extrapolated range, as in `1,200 to 1,800`."""
    if rate is None:
        return EMPTY
    return f"{rate_text(rate.low)} to {rate_text(rate.high)}"


class CoresRow(NamedTuple):
    """The rate of a loader on a number of cores."""

    loader: str
    rate: RateOnCores


def measured_rows(scaling: list[LoaderScaling]) -> list[CoresRow]:
    """Return the rates on more than two cores that were measured, not only extrapolated."""
    return [
        CoresRow(one.loader, rate)
        for one in scaling
        for rate in one.rates
        if rate.measured is not None
    ]


def cores_table(rows: list[CoresRow]) -> TableData[CoresRow]:
    """Return one row per loader and number of cores on which it was measured."""
    return TableData(
        name="cores",
        title="Measured, and extrapolated from two cores",
        columns=[
            words("loader and settings", "loader", lambda row: row.loader),
            Column("cores", "cores", lambda row: row.rate.cores),
            estimates("images/s", "images_per_second", lambda row: row.rate.measured, RATE),
            Column("extrapolated", "", lambda row: range_text(row.rate)),
            only_csv("low", lambda row: row.rate.low),
            only_csv("high", lambda row: row.rate.high),
        ],
        rows=rows,
    )
