"""The report of the limits of a machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.html.charts.dots import Line, dot_of
from feedbench.bench.html.kinds.cells import GB, MB, Field, dots_chart, figure, number, table_of
from feedbench.bench.html.kinds.commands import choice_options, repeat_section, spec_options
from feedbench.bench.html.kinds.environment import environment_section
from feedbench.bench.html.kinds.samples import samples_section
from feedbench.bench.html.parts import Code, Headline, Part, Report, Section, Text
from feedbench.bench.limits.limits import Limit, LoaderShare, MachineLimits
from feedbench.bench.limits.scaling import LoaderScaling
from feedbench.bench.limits.scaling_table import (
    SCALING_NOTE,
    SHOWN,
    CoresRow,
    measured_rows,
    range_text,
    rate_on,
    stops_text,
)
from feedbench.bench.limits.table import SHARES_NOTE, above_note
from feedbench.bench.limits.verdict import limit_text, verdict
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
        *_scaling(limits.scaling),
        *samples_section(result.trials),
        environment_section(folder, first),
        repeat_section(folder, [Code(_command(result), "Measure again")]),
    ]
    return Report("Limits of a machine", Headline(verdict(limits)), sections)


def _rate(one: LoaderShare) -> float:
    return one.images_per_second.value if one.images_per_second else -1.0


def _shares(limits: MachineLimits) -> Iterator[Part]:
    ordered = sorted(limits.loaders, key=lambda one: -_rate(one))
    nearest = max(
        (one for one in ordered if one.share),
        key=lambda one: one.share.value if one.share else 0.0,
        default=None,
    )
    if nearest is not None and nearest.share:
        yield dots_chart(
            f"{_how_near(nearest.share)}: {nearest.loader}, {nearest.share.value:.0%}",
            "Rate divided by the rate of the limit of its kind of work, with 95 % intervals.",
            [dot_of(one.loader, one.share, ".2f") for one in ordered if one.share],
            "rate ÷ rate of the limit",
            [Line(1.0, "the limit")],
            zero=True,
        )
    yield table_of("Loaders", _LOADER_FIELDS, ordered)
    yield Text(SHARES_NOTE, "note")
    if note := above_note(limits):
        yield Text(note, "note")


def _how_near(share: Estimate) -> str:
    return "Above its measured limit" if share.lies_above(1) else "Nearest to its limit"


_LOADER_FIELDS: list[Field[LoaderShare]] = [
    Field("loader and settings", lambda one: one.loader),
    Field("images/s [95 %]", lambda one: figure(one.images_per_second)),
    Field(
        "share [95 %]",
        lambda one: figure(one.share, ".2f"),
        "rate ÷ rate of the limit, in the same rounds",
    ),
    Field("limit", lambda one: limit_text(one.limit), "of the work that this loader does"),
    Field(
        "memory, MB",
        lambda one: number(one.peak_memory_bytes or None, ",.0f", scale=MB),
        "peak of its processes",
    ),
    Field("could not be measured", lambda one: one.error),
]


def _limits(limits: MachineLimits) -> Iterator[Part]:
    rows = [
        dot_of(limit_text(one.name), rate, ",.0f")
        for one in limits.limits
        if (rate := one.images_per_second)
    ]
    if rows:
        lowest = min(rows, key=lambda row: row.value)
        yield dots_chart(
            f"The lowest limit: {lowest.name}, {lowest.value:,.0f} images/s",
            "Images per second of each kind of work alone.",
            rows,
            "images per second, nothing else running",
        )
    yield table_of("Limits", _LIMIT_FIELDS, limits.limits)


_LIMIT_FIELDS: list[Field[Limit]] = [
    Field("limit", lambda one: limit_text(one.name)),
    Field("measured by", lambda one: one.name if limit_text(one.name) != one.name else None),
    Field("images/s [95 %]", lambda one: figure(one.images_per_second)),
    Field(
        "GB/s",
        lambda one: number(one.bytes_per_second, ",.2f", scale=GB),
        "bytes copied or read",
    ),
    Field("could not be measured", lambda one: one.error),
]


def _scaling(scaling: list[LoaderScaling]) -> list[Section]:
    if not scaling:
        return []
    parts: list[Part] = []
    rows = [dot_of(one.loader, one.serial, ".1%") for one in scaling if one.serial]
    if rows:
        most = max(rows, key=lambda row: row.value)
        parts.append(
            dots_chart(
                f"Most happens one by one in {most.name}: {most.value:.1%} of each image's time",
                "Share of each image's CPU time under a lock or in a thread that exists once.",
                rows,
                "share of CPU time",
                zero=True,
                form=".0%",
            )
        )
    parts.append(table_of("Many cores", _SCALING_FIELDS, scaling))
    if measured := measured_rows(scaling):
        parts.append(table_of("Measured, and extrapolated", _CORES_FIELDS, measured))
    return [Section("Many cores", [*parts, Text(SCALING_NOTE, "note")], "cores")]


def _extrapolated(cores: int) -> Field[LoaderScaling]:
    return Field(
        f"images/s on {cores} cores",
        lambda one: range_text(rate_on(one, cores)),
        "extrapolated from two cores",
    )


_SCALING_FIELDS: list[Field[LoaderScaling]] = [
    Field("loader and settings", lambda one: one.loader),
    Field(
        "one by one [95 %]",
        lambda one: figure(one.serial, ".1%"),
        "share of CPU time under a lock or in a thread that exists once",
    ),
    Field("Python's lock [95 %]", lambda one: figure(one.python, ".1%")),
    Field("other locks [95 %]", lambda one: figure(one.locks, ".1%")),
    Field("single threads [95 %]", lambda one: figure(one.threads, ".1%")),
    Field("used most", lambda one: one.limited_by),
    Field("stops at cores", stops_text, "more cores give nothing"),
    *map(_extrapolated, SHOWN),
    Field("could not be measured", lambda one: one.error),
]

_CORES_FIELDS: list[Field[CoresRow]] = [
    Field("loader and settings", lambda row: row.loader),
    Field("cores", lambda row: row.rate.cores),
    Field("images/s [95 %]", lambda row: figure(row.rate.measured)),
    Field("extrapolated from two cores", lambda row: range_text(row.rate)),
]


def _command(result: LimitsResult) -> str:
    words = ["feedbench", "limits", "DATA"]
    for trial in result.trials:
        if is_choice(trial.loader):
            words += choice_options(trial.loader, trial.settings)
    spec = result.trials[0].spec if result.trials else {}
    blocks = max((len(trial.blocks) for trial in result.trials), default=0)
    words += ["--blocks", str(blocks)] if blocks else []
    words += ["--scaling"] if result.limits.scaling else []
    return shlex.join([*words, *spec_options(spec)])
