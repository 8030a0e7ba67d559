"""The report of the limits of a machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.kinds.cells import (
    GB,
    MB,
    dots_table,
    figure,
    listed,
    number,
    without_empty_columns,
)
from feedbench.bench.html.kinds.commands import choice_options, repeat_section, spec_options
from feedbench.bench.html.kinds.environment import environment_section
from feedbench.bench.html.kinds.samples import samples_section
from feedbench.bench.html.parts import Chart, Code, Column, Headline, Part, Report, Section, Text
from feedbench.bench.limits.limits import LoaderShare, MachineLimits
from feedbench.bench.limits.table import SHARES_NOTE
from feedbench.bench.limits.verdict import verdict
from feedbench.bench.report.summary_text import headline
from feedbench.bench.results.kinds import LimitsResult
from feedbench.bench.trials.internal_loaders import is_choice


def report_of_limits(result: LimitsResult) -> Report:
    """Return the report of a machine's limits, and what each loader reaches of them."""
    limits, folder = result.limits, result.path.parent
    first = next(iter(result.trials), None)
    sections = [
        Section("Loaders", [Text(headline(result.trials)), *_shares(limits)], "shares"),
        Section("Limits of this machine", list(_limits(limits)), "limits"),
        *samples_section(result.trials),
        environment_section(folder, first),
        repeat_section(folder, [Code(_command(result), "Measure again")]),
    ]
    return Report("Limits of a machine", Headline(verdict(limits)), sections)


def _rate(one: LoaderShare) -> float:
    return one.images_per_second.value if one.images_per_second else -1.0


def _shares(limits: MachineLimits) -> Iterator[Part]:
    ordered = sorted(limits.loaders, key=lambda one: -_rate(one))
    rows = [
        Dot(f"{one.loader}  of {one.limit}", share.value, f"{share:.2f}", share.low, share.high)
        for one, share in ((one, one.share) for one in ordered)
        if share
    ]
    if rows:
        nearest = max(rows, key=lambda row: row.value)
        yield Chart(
            f"Nearest to its limit: {nearest.name.partition('  of ')[0]}, {nearest.value:.0%}",
            f"Rate divided by the rate of the limit, with 95 % intervals. {listed(rows)}",
            dots(rows, "rate ÷ rate of the limit", [Line(1.0, "the limit")], zero=True),
            table=dots_table("Shares", "share [95 %]", rows),
        )
    columns = [
        Column("loader and settings"),
        Column("limit", "of the work that this loader does"),
        Column("images/s [95 %]", numeric=True),
        Column("share [95 %]", "rate ÷ rate of the limit, in the same rounds", numeric=True),
        Column("memory, MB", "peak of its processes", numeric=True),
        Column("could not be measured"),
    ]
    cells = [
        [
            one.loader,
            one.limit,
            figure(one.images_per_second),
            figure(one.share, ".2f"),
            number(one.peak_memory_bytes or None, ",.0f", scale=MB),
            one.error or "",
        ]
        for one in ordered
    ]
    yield without_empty_columns("Loaders", columns, cells)
    yield Text(SHARES_NOTE, "note")


def _limits(limits: MachineLimits) -> Iterator[Part]:
    timed = [(one, one.images_per_second) for one in limits.limits if one.images_per_second]
    rows = [
        Dot(one.name, rate.value, f"{rate:,.0f}", rate.low, rate.high)
        for one, rate in timed
        if rate
    ]
    if rows:
        lowest = min(rows, key=lambda row: row.value)
        yield Chart(
            f"The lowest limit: {lowest.name}, {lowest.value:,.0f} images/s",
            f"Images per second of each kind of work alone. {listed(rows)}",
            dots(rows, "images per second, nothing else running", zero=False),
            table=dots_table("Limits", "images/s [95 %]", rows),
        )
    columns = [
        Column("limit"),
        Column("images/s [95 %]", numeric=True),
        Column("GB/s", "bytes copied or read", numeric=True),
        Column("could not be measured"),
    ]
    cells = [
        [
            one.name,
            figure(one.images_per_second),
            number(one.bytes_per_second, ",.2f", scale=GB),
            one.error or "",
        ]
        for one in limits.limits
    ]
    yield without_empty_columns("Limits", columns, cells)


def _command(result: LimitsResult) -> str:
    words = ["feedbench", "limits", "DATA"]
    for trial in result.trials:
        if is_choice(trial.loader):
            words += choice_options(trial.loader, trial.settings)
    spec = result.trials[0].spec if result.trials else {}
    return shlex.join([*words, *spec_options(spec)])
