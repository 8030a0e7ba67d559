"""The report of a bench."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedbench.bench.analysis.augment_costs import augment_costs
from feedbench.bench.analysis.contention import busy_warning
from feedbench.bench.analysis.estimate import Estimate, rate_form, rate_text
from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.html.charts.dots import Dot, Line, dot_of, dots
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import (
    GB,
    MB,
    dots_table,
    figure,
    first_sentence,
    listed,
    number,
    without_empty_columns,
)
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
    Cell,
    Chart,
    Code,
    Column,
    Figure,
    Headline,
    Part,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.record import Trial
from feedbench.bench.report.summary_text import device_warnings, headline, verdict
from feedbench.bench.report.table import (
    UTILIZATION,
    notes,
    ratio_form,
    trial_name,
    utilization_legend,
    utilization_text,
)
from feedbench.bench.results.kinds import BenchResult
from feedbench.bench.trials.internal_loaders import is_choice

_MOST_POINTS = 4_000  # per lane over all trials but the winner, so that the page stays small


def report_of_bench(result: BenchResult) -> Report:
    """Return the report of a bench: rates, ratios, readings over time, and the winner."""
    summary, trials, folder = result.summary, result.trials, result.path.parent
    sentence, more = first_sentence(verdict(summary))
    sections = [
        Section("Rates", [*more, *_rates(summary, trials)], "rates"),
        *_ratios(summary),
        *comparison_beside(folder),
        *_augmentations(trials),
        *_over_time(summary, trials),
        *pixels_beside(folder),
        *samples_section(trials),
        environment_section(folder, next(iter(trials), None)),
        *_repeat(result),
    ]
    return Report(_title(trials), Headline(sentence, _use(result)), sections)


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
    for line in notes(summary):
        yield Text(line.text, "note")


def rates_chart(summary: Summary, trials: Sequence[Trial]) -> Chart | None:
    """Return the rates with their intervals, fastest first; None if there is none.

    The rate with synthetic batches is a line across all, if the consumer does any work.
    """
    timed = [(index, trial) for index, trial in _fastest_first(summary) if trial.images_per_second]
    if not timed:
        return None
    rows = [_rate_dot(trial, _role(summary, index)) for index, trial in timed]
    ceiling = _ceiling(summary, trials)
    lines = [Line(ceiling, f"synthetic batches: {rate_text(ceiling)}")] if ceiling else []
    return Chart(
        _rates_title(summary, ceiling),
        f"Images per second with 95 % intervals, fastest first. {listed(rows)}",
        dots(rows, "images per second", lines, zero=True, form=",.0f"),
        table=dots_table("Rates", "images/s [95 %]", rows),
    )


def _fastest_first(summary: Summary) -> list[tuple[int, TrialSummary]]:
    def slowness(pair: tuple[int, TrialSummary]) -> float:
        rate = pair[1].images_per_second
        return -rate.value if rate else 1.0

    return sorted(enumerate(summary.trials), key=slowness)


def _role(summary: Summary, index: int) -> Role:
    trial = summary.trials[index]
    if index == summary.winner and not summary.is_alone:
        return "marked"
    return "plain" if trial.ranked and not trial.error else "faint"


def _rate_dot(trial: TrialSummary, role: Role) -> Dot:
    assert trial.images_per_second is not None
    rate = trial.images_per_second
    return dot_of(trial_name(trial), rate, rate_form(rate.value), role)


def _ceiling(summary: Summary, trials: Sequence[Trial]) -> float | None:
    """Return the fastest rate with synthetic batches; None if the consumer does no work."""
    if trials and trials[0].consumer == "drain":
        return None
    rates = [one.images_per_second for one in summary.trials if not is_choice(one.loader)]
    return max((rate.value for rate in rates if rate), default=None)


def _rates_title(summary: Summary, ceiling: float | None) -> str:
    if summary.winner is None:
        return "Rates of what was timed; nothing is recommended"
    best = summary.trials[summary.winner]
    share = best.accelerator_utilization
    if ceiling and share:
        return (
            f"{trial_name(best)} reaches {min(1.0, share.value):.0%} of the rate with synthetic "
            "batches"
        )
    rate = best.images_per_second
    assert rate is not None
    return f"{trial_name(best)} gives {rate_text(rate)} images/s"


_TITLES = [
    Column("loader and settings"),
    Column(
        "result",
        "winner; tie: the interval of its ratio contains 1; slower: the interval lies below 1; "
        "cannot tell: too few blocks",
    ),
    Column("images/s [95 %]", "median over the blocks, with its interval", numeric=True),
    Column("ratio to best [95 %]", "rate ÷ rate of the fastest, in the same rounds", numeric=True),
    Column("AU", f"accelerator utilization: {UTILIZATION}", numeric=True),
    Column("wait", "fraction of the time without a batch", numeric=True),
    Column("first batch, s", "from opening the loader to its first batch", numeric=True),
    Column("GPU", "fraction of the time with a kernel running (NVML)", numeric=True),
    Column("SMs", "multiprocessors in use (GPM)", numeric=True),
    Column("GPU power, W", "mean over the blocks", numeric=True),
    Column("GPU memory, GB", "largest", numeric=True),
    Column("CPU cores", "CPU seconds of the trial's processes per second", numeric=True),
    Column("memory, MB", "peak of the trial's processes", numeric=True),
    Column("disk read, MB", "over all blocks; 0 if the files were in memory", numeric=True),
    Column("blocks", "that count", numeric=True),
    Column("spread", "(fastest − slowest block) ÷ median", numeric=True),
]


def summary_rows(summary: Summary) -> Table:
    """Return the table of a bench, fastest first."""
    order = _fastest_first(summary)
    winner = None if summary.is_alone else summary.winner
    marked = frozenset(row for row, (index, _) in enumerate(order) if index == winner)
    rows = [
        [trial_name(trial), _result(trial, index == winner), *_cells(trial)]
        for index, trial in order
    ]
    return without_empty_columns(
        "All loaders", _TITLES, rows, marked, utilization_legend(summary.trials)
    )


def _cells(trial: TrialSummary) -> list[Cell]:
    rate = trial.images_per_second
    return [
        figure(rate, rate_form(rate.value) if rate else ""),
        _ratio(trial.ratio_to_best),
        _utilization(trial),
        number(trial.wait_share, ".0%"),
        number(trial.first_batch_s),
        number(trial.gpu_utilization, ".0%"),
        number(trial.gpu_multiprocessors, ".0%"),
        number(trial.gpu_power_w, ",.0f"),
        number(trial.gpu_memory_bytes, ",.2f", scale=GB),
        number(trial.cpu_cores),
        number(trial.peak_memory_bytes, ",.0f", scale=MB),
        number(trial.disk_read_bytes, ",.0f", scale=MB),
        trial.blocks,
        number(trial.spread, ".0%"),
    ]


def _ratio(ratio: Estimate | None) -> Figure | None:
    return None if ratio is None else figure(ratio, ratio_form(ratio))


def _utilization(trial: TrialSummary) -> Figure | None:
    """Return the utilization; above 100 % as in the table of `show`."""
    share = trial.accelerator_utilization
    if share is None or share.value <= 1:
        return figure(share, ".0%")
    return Figure(share.value, format=".0%", text=utilization_text(trial))


def _result(trial: TrialSummary, wins: bool) -> str:
    words = {
        "winner": wins,
        "tie": trial.tied_with_best and not wins,
        "slower": _is_slower(trial),
        "cannot tell": trial.undecided,
        f"other pixels: {trial.other_pixels or 0:.1f} levels": trial.other_pixels is not None,
        "pixels not compared": trial.pixels_unknown,
        f"{trial.dropped} images failed and were dropped": trial.dropped > 0,
        f"{len(trial.unproven)} blocks not counted": bool(trial.unproven),
        "failed": trial.error is not None,
        "not ranked": not trial.ranked and trial.error is None,
    }
    return ", ".join(word for word, applies in words.items() if applies)


def _is_slower(trial: TrialSummary) -> bool:
    """Whether the trial is ranked and surely slower than the fastest."""
    ratio = trial.ratio_to_best
    is_open = trial.tied_with_best or trial.undecided
    return trial.ranked and ratio is not None and ratio.lies_below(1) and not is_open


def _ratios(summary: Summary) -> Iterator[Section]:
    """Yield how each loader that can win compares with the fastest, in the same rounds."""
    rows = [
        dot_of(trial_name(trial), ratio, ratio_form(ratio), _role(summary, index))
        for index, trial in _fastest_first(summary)
        if trial.ranked and (ratio := trial.ratio_to_best) is not None and ratio.interval
    ]
    if len(rows) < 2:
        return
    chart = Chart(
        _ratios_title(summary),
        f"Rate divided by that of the fastest, over blocks of the same rounds. {listed(rows)}",
        dots(rows, "rate ÷ rate of the fastest", [Line(1.0, "as fast")], zero=False),
        table=dots_table("Ratios", "ratio [95 %]", rows),
    )
    how = (
        "Blocks of all loaders take turns, so what slows the machine slows all of them: the ratio "
        "within a round is steadier than the two rates."
    )
    yield Section("Paired ratios", [Text(how), chart], "ratios")


def _ratios_title(summary: Summary) -> str:
    open_names = [
        trial_name(one) for _, one in _fastest_first(summary) if one.tied_with_best or one.undecided
    ]
    if len(open_names) == 1:
        return f"{open_names[0]} is faster than each other loader"
    return f"These blocks do not show which of these is fastest: {', '.join(open_names)}"


def _augmentations(trials: Sequence[Trial]) -> Iterator[Section]:
    costs = augment_costs(trials)
    if not costs:
        return
    columns = [
        Column("loader and settings"),
        Column("augmentation"),
        Column("ms per image [95 %]", "that it adds; may be negative by noise", numeric=True),
        Column("rate ratio [95 %]", "rate with it ÷ rate without any", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            str(cost).partition(": ")[0],
            cost.augment,
            figure(cost.ms_per_image, ".3f"),
            figure(cost.ratio, ".2f"),
        ]
        for cost in costs
    ]
    yield Section("Augmentations", [Table("What each costs", columns, rows)], "augmentations")


def _over_time(summary: Summary, trials: Sequence[Trial]) -> Iterator[Section]:
    """Yield the winner over time, and all others closed at first."""
    timed = [(index, trial) for index, trial in enumerate(trials) if trial.blocks]
    if not timed:
        return
    first = summary.winner if summary.winner is not None else timed[0][0]
    others = [trial for index, trial in timed if index != first]
    columns = min(COLUMNS, _MOST_POINTS // max(1, len(others)))
    main = over_time(trials[first].blocks, shown_of(trials[first]))
    parts: list[Part] = [main] if main else []
    charts = (over_time(trial.blocks, shown_of(trial, columns)) for trial in others)
    parts += more_over_time(charts, "The other loaders over time")
    yield Section("Over time", [*parts, DECIMATED], "time")


def _repeat(result: BenchResult) -> Iterator[Section]:
    if result.trials:
        command = Code("feedbench bench DATA --suite suite.toml", "Measure again")
        parts = [command, Code(suite_text(result.trials), "suite.toml")]
        yield repeat_section(result.path.parent, parts)
