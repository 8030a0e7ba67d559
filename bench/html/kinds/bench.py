"""The report of a bench."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedbench.bench.analysis.augment_costs import AugmentCost, augment_costs
from feedbench.bench.analysis.contention import busy_warning
from feedbench.bench.analysis.estimate import rate_form, rate_text
from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.analysis.winner import MIN_RATIO_TO_WIN, able_to_win
from feedbench.bench.html.charts.dots import Line, dot_of
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.bench_table import (
    devices_of,
    fastest_first,
    summary_rows,
    winner_of,
)
from feedbench.bench.html.kinds.cells import Field, dots_chart, figure, table_of
from feedbench.bench.html.kinds.commands import repeat_section, suite_text, train_command
from feedbench.bench.html.kinds.compare import comparison_beside
from feedbench.bench.html.kinds.environment import environment_section
from feedbench.bench.html.kinds.over_time import (
    COLUMNS,
    DECIMATED,
    more_over_time,
    over_time,
    shown_of,
)
from feedbench.bench.html.kinds.pixels import pixels_beside
from feedbench.bench.html.kinds.samples import samples_section
from feedbench.bench.html.parts import (
    Chart,
    Code,
    Details,
    Headline,
    Part,
    Report,
    Section,
    Text,
)
from feedbench.bench.record import Trial
from feedbench.bench.report.course import course
from feedbench.bench.report.devices_table import device_rows
from feedbench.bench.report.summary_text import (
    are,
    consumer_notes,
    device_warnings,
    headline,
    verdict,
)
from feedbench.bench.report.table import (
    ratio_form,
    trial_name,
    utilization_text,
)
from feedbench.bench.report.table_notes import notes
from feedbench.bench.results.kinds import BenchResult
from feedbench.bench.trials.internal_loaders import is_choice

_MOST_PERIODS = 4_000  # per lane over all trials but the winner, so that the page stays small


def report_of_bench(result: BenchResult) -> Report:
    """Return the report of a bench: rates, ratios, readings over time, and the winner."""
    summary, trials, folder = result.summary, result.trials, result.path.parent
    sections = [
        Section("Rates", list(_rates(summary, trials)), "rates"),
        *_ratios(summary),
        *comparison_beside(folder),
        *_augmentations(trials),
        *_over_time(summary, trials),
        *pixels_beside(folder),
        *samples_section(trials),
        environment_section(folder, next(iter(trials), None)),
        *_repeat(result),
    ]
    return Report(_title(trials), Headline(verdict(summary, trials), _use(result)), sections)


def _title(trials: Sequence[Trial]) -> str:
    if not trials:
        return "Bench"
    first, spec = trials[0], trials[0].spec
    batches = f"{spec['image_size']} px, batch {spec['batch_size']}"
    return f"Bench of {first.images:,} images at {batches}"


def _use(result: BenchResult) -> str | None:
    """Return the command that trains with the winner; None without one."""
    if result.summary.winner is None:
        return None
    best = result.summary.trials[result.summary.winner]
    return train_command(result.path.parent, best.loader, best.settings)


def _rates(summary: Summary, trials: list[Trial]) -> Iterator[Part]:
    if trials or not summary.trials:
        yield Text(headline(trials))
    yield from (Text(text, "warning") for text in device_warnings(trials))
    yield from (Text(text, "warning") for text in busy_warning(trials))
    if chart := rates_chart(summary, trials):
        yield chart
    if any(trial.blocks for trial in summary.trials):
        yield summary_rows(summary)
    if device_rows(summary):
        yield devices_of(summary)
    lines = (line.text for line in (*notes(summary), *course(summary)))
    for text in (*lines, *consumer_notes(trials)):
        yield Text(text, "note")


def rates_chart(summary: Summary, trials: Sequence[Trial]) -> Chart | None:
    """Return the rates with their intervals, fastest first; None if there is none.

    The rate with synthetic batches is a line across all, if the consumer does any work.
    """
    rows = [
        dot_of(trial_name(trial), rate, rate_form(rate.value), _role(summary, trial))
        for trial in fastest_first(summary)
        if (rate := trial.images_per_second)
    ]
    if not rows:
        return None
    ceiling = _ceiling(summary, trials)
    return dots_chart(
        _rates_title(summary, ceiling),
        "Images per second with 95 % intervals, fastest first.",
        rows,
        "images per second",
        [Line(ceiling, f"synthetic batches: {rate_text(ceiling)}")] if ceiling else [],
        figures=("Rates", "images/s [95 %]"),
        zero=True,
        form=",.0f",
    )


def _role(summary: Summary, trial: TrialSummary) -> Role:
    if trial is winner_of(summary):
        return "marked"
    return "plain" if trial.ranked and not trial.error else "faint"


def _ceiling(summary: Summary, trials: Sequence[Trial]) -> float | None:
    """Return the fastest rate with synthetic batches; None if the consumer does no work.

    That of one of several devices alone is no bound of all of them.
    """
    if trials and trials[0].consumer == "drain":
        return None
    rates = [
        one.images_per_second
        for one in summary.trials
        if not is_choice(one.loader) and not one.alone
    ]
    return max((rate.value for rate in rates if rate), default=None)


def _rates_title(summary: Summary, ceiling: float | None) -> str:
    if summary.winner is None:
        return "Rates of what was timed; nothing is recommended"
    best = summary.trials[summary.winner]
    if ceiling and best.accelerator_utilization:
        share = utilization_text(best)
        return f"{trial_name(best)} reaches {share} of the rate with synthetic batches"
    rate = best.images_per_second
    assert rate is not None
    return f"{trial_name(best)} gives {rate_text(rate)} images/s"


def _ratios(summary: Summary) -> Iterator[Section]:
    """Yield how each loader that can win compares with the fastest, in the same rounds."""
    rows = [
        dot_of(trial_name(trial), ratio, ratio_form(ratio), _role(summary, trial))
        for trial in fastest_first(summary)
        if trial.ranked and (ratio := trial.ratio_to_best) is not None and ratio.interval
    ]
    if len(rows) < 2:
        return
    chart = dots_chart(
        _ratios_title(summary),
        "Rate divided by that of the fastest, over blocks of the same rounds.",
        rows,
        "rate ÷ rate of the fastest",
        [Line(1.0, "as fast")],
        figures=("Ratios", "ratio [95 %]"),
    )
    how = (
        "Blocks of all loaders take turns, so a machine that becomes slower slows all of them, and "
        "the ratio within a round is steadier than the two rates. Other programs that compete for "
        "the cores do not slow all loaders alike."
    )
    yield Section("Paired ratios", [Text(how), chart], "ratios")


def _ratios_title(summary: Summary) -> str:
    """Return which loaders may be as fast as the fastest, by the rule of the verdict."""
    able = able_to_win(summary.trials).values()
    unsettled = [
        trial_name(one)
        for one in fastest_first(summary)
        if (one.tied_with_best or one.undecided) and not any(one is other for other in able)
    ]
    if unsettled:
        return f"These blocks do not show whether {are(unsettled)} as fast as the fastest"
    names = ", ".join(map(trial_name, able))
    if len(able) == 1:
        return f"{names} is faster than each other loader"
    return f"At least {MIN_RATIO_TO_WIN:.0%} of the fastest rate: {names}"


_COST_FIELDS: list[Field[AugmentCost]] = [
    Field("loader and settings", lambda cost: str(cost).partition(": ")[0]),
    Field("augmentation", lambda cost: cost.augment),
    Field(
        "ms per image [95 %]",
        lambda cost: figure(cost.ms_per_image, ".3f"),
        "that it adds; may be negative by noise",
    ),
    Field(
        "rate ratio [95 %]",
        lambda cost: figure(cost.ratio, ".2f"),
        "rate with it ÷ rate without any",
    ),
]


def _augmentations(trials: Sequence[Trial]) -> Iterator[Section]:
    if costs := augment_costs(trials):
        table = table_of("What each costs", _COST_FIELDS, costs)
        yield Section("Augmentations", [table], "augmentations")


def _over_time(summary: Summary, trials: Sequence[Trial]) -> Iterator[Section]:
    """Yield the winner over time, and all others closed at first."""
    timed = [(index, trial) for index, trial in enumerate(trials) if trial.blocks]
    if not timed:
        return
    first = summary.winner if summary.winner is not None else timed[0][0]
    others = [trial for index, trial in timed if index != first]
    columns = min(COLUMNS, _MOST_PERIODS // max(1, len(others)))
    main = over_time(trials[first].blocks, shown_of(trials[first]))
    parts: list[Part] = [main] if main else []
    charts = (over_time(trial.blocks, shown_of(trial, columns)) for trial in others)
    parts += more_over_time(charts, "The other loaders over time")
    yield Section("Over time", [*parts, DECIMATED], "time")


def _repeat(result: BenchResult) -> Iterator[Section]:
    if result.trials:
        command = Code("feedbench bench DATA --suite suite.toml", "Measure again")
        suite = Details("suite.toml", [Code(suite_text(result.trials))])
        yield repeat_section(result.path.parent, [command, suite])
