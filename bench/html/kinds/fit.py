"""The report of what a FitMonitor recorded in a user's own training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.charts.waterfall import End, Step, waterfall
from feedbench.bench.html.kinds.cells import figure, number
from feedbench.bench.html.kinds.environment import environment_section
from feedbench.bench.html.kinds.over_time import DECIMATED, Shown, over_time
from feedbench.bench.html.kinds.samples import blocks_table
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Column,
    Headline,
    Part,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.monitor.record import FitFigures
from feedbench.bench.monitor.text import fit_lines, headline
from feedbench.bench.record import Trial
from feedbench.bench.results.kinds import FitResult


def report_of_fit(result: FitResult) -> Report:
    """Return the report of a monitored `fit`."""
    record, figures, trials = result.record, result.figures, result.trials
    sentence, *others = fit_lines(figures, record) or ["Nothing was measured."]
    sections = [
        Section("What fit waits for", list(_stall(figures, others, headline(record))), "stall"),
        *_over_time(result),
        *_blocks(trials),
        environment_section(result.path.parent, next(iter(trials), None)),
    ]
    return Report(f"fit of {record.model}, monitored", Headline(sentence), sections)


def _blocks(trials: Sequence[Trial]) -> Iterator[Section]:
    """Yield the blocks of `fit`, and those on a repeated batch if there are any."""
    names = ("fit", "The repeated batch")
    tables = [blocks_table(one.blocks, name) for one, name in zip(trials, names, strict=False)]
    if tables:
        yield Section("Blocks", tables, "samples")


def _stall(figures: FitFigures | None, lines: list[str], title: str) -> Iterator[Part]:
    yield Text(title)
    if figures is not None:
        if chart := _waterfall(figures):
            yield chart
        yield _figures_table(figures)
    yield from (Text(line) for line in lines)


def _waterfall(figures: FitFigures) -> Chart | None:
    """Return the way from the repeated batch down to fit; None without a repeated batch."""
    if figures.ceiling is None or figures.stall is None:
        return None
    ceiling, rate = figures.ceiling.value, figures.images_per_second.value
    lost = ceiling - rate
    role: Role = "cost" if lost > 0 else "plain"
    title = f"The device stalls {max(0.0, figures.stall.value):.0%} of the time"
    points = f"{-100 * figures.stall.value:+.0f} points, {-lost:+,.0f}"
    return Chart(
        title,
        f"{title}: {rate:,.0f} images per second, against {ceiling:,.0f} on a repeated batch.",
        waterfall(
            End("a repeated batch", ceiling, f"{ceiling:,.0f}"),
            [Step("waiting and slower steps", lost, points, role)],
            End("fit", rate, f"{rate:,.0f}", "marked"),
            "images per second",
        ),
    )


def _at_least_zero(stall: Estimate | None) -> Estimate | None:
    """Return a stall as the sentences give it: noise alone makes it negative."""
    if stall is None:
        return None
    ends = {"value": stall.value, "low": stall.low, "high": stall.high}
    above = {name: None if end is None else max(0.0, end) for name, end in ends.items()}
    return stall.model_copy(update=above)


def _figures_table(figures: FitFigures) -> Table:
    rows: list[list[Cell]] = [
        ["images/s of fit [95 %]", figure(figures.images_per_second)],
        ["images/s on a repeated batch [95 %]", figure(figures.ceiling)],
        ["stall: 1 − rate ÷ that rate [95 %]", figure(_at_least_zero(figures.stall), ".0%")],
        ["time in which fit waited for a batch", number(figures.wait_share, ".1%")],
        ["time in which the device is known to be idle", number(figures.idle_share, ".1%")],
        ["batches", figures.batches],
        ["images", figures.images],
    ]
    columns = [Column("figure"), Column("value", numeric=True)]
    return Table("Figures", columns, [row for row in rows if row[1] is not None])


def _over_time(result: FitResult) -> Iterator[Section]:
    for trial in result.trials[:1]:
        if chart := over_time(trial.blocks, Shown("this pipeline")):
            yield Section("Over time", [chart, DECIMATED], "time")
