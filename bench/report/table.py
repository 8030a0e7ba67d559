"""The table of a bench."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text

from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.analysis.estimate import Estimate, rate_text
from feedbench.bench.analysis.stats import MIN_BLOCKS
from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.analysis.winner import able_to_win
from feedbench.bench.plan.plan import Choice
from feedbench.bench.quantities import quantity
from feedbench.bench.record import Trial
from feedbench.bench.report.document import (
    ALWAYS,
    EMPTY,
    Column,
    Row,
    TableData,
    estimates,
    only_csv,
    words,
)
from feedbench.bench.trials.internal_loaders import is_choice
from feedbench.loaders import BASELINE

UTILIZATION = "rate ÷ rate with synthetic batches, median over blocks of the same rounds"
FULL = "≥ 100%"  # utilization above 1 within noise
NOISY = 0.10  # (fastest − slowest block) ÷ median rate from which a rate is marked with ~
COSTS_NOTHING = "batches that cost nothing"  # those of the loader `synthetic`
WINNER = "← winner"


def or_dash(value: Estimate | float | None, spec: str, unit: str = "") -> str:
    """Return a formatted figure with its unit; a dash if it was not measured."""
    return EMPTY if value is None else f"{value:{spec}}{unit}"


def ratio_text(ratio: Estimate | None) -> str:
    """Return a ratio in the format `ratio_form` gives it; a dash if it was not measured."""
    return EMPTY if ratio is None else f"{ratio:{ratio_form(ratio)}}"


def ratio_form(ratio: Estimate) -> str:
    """Return a format for a ratio and its interval.

    A ratio such as 0.04 keeps two digits, and the end of an interval that excludes 1 is not printed
    as 1.00.
    """
    ends = [ratio.high] if ratio.lies_below(1) else [ratio.low] if ratio.lies_above(1) else []
    digits = [n for n in (2, 3, 4) if n == 4 or abs(ratio.value) >= 10.0 ** (1 - n)]
    exact = (n for n in digits if all(f"{end:.{n}f}" != f"{1:.{n}f}" for end in ends))
    return f".{next(exact, digits[-1])}f"


def bytes_text(value: int | None) -> str:
    """Return a size in megabytes or gigabytes; a dash if it was not measured."""
    if value is None:
        return EMPTY
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def kilobytes_text(value: float | None) -> str:
    """Return bytes in kilobytes; a dash if they were not measured."""
    return EMPTY if value is None else f"{value / 1e3:,.1f}"


def _rate(trial: TrialSummary) -> str:
    mark = "~" if (trial.spread or 0) > NOISY else ""
    rate = trial.images_per_second
    return EMPTY if rate is None else mark + rate_text(rate)


def utilization_text(trial: TrialSummary) -> str:
    """Return the utilization; above 100 % noise may explain it, or synthetic batches cost more."""
    utilization = trial.accelerator_utilization
    if utilization is None:
        return EMPTY
    if _exceeds_synthetic(trial):
        return f"{utilization.value:.0%}!"
    return FULL if utilization.value > 1 else f"{utilization.value:.0%}"


def _exceeds_synthetic(trial: TrialSummary) -> bool:
    """Whether the trial is ranked and certainly faster than synthetic batches."""
    utilization = trial.accelerator_utilization
    return trial.ranked and utilization is not None and utilization.lies_above(1)


def trial_columns(*, memory_decides: bool = False) -> list[Column[TrialSummary]]:
    """Return the figures of a trial.

    Args:
        memory_decides: whether several could win, of which the cheapest does.
    """
    return [
        estimates("images/s", "images_per_second", lambda trial: trial.images_per_second, _rate),
        estimates(
            "ratio to best",
            "ratio_to_best",
            lambda trial: trial.ratio_to_best,
            lambda trial: ratio_text(trial.ratio_to_best) if is_choice(trial.loader) else EMPTY,
        ),
        Column(
            "AU",
            "accelerator_utilization",
            lambda trial: trial.accelerator_utilization,
            utilization_text,
            importance=3,
            meaning=f"AU (accelerator utilization): {UTILIZATION}.",
            has_interval=True,
        ),
        Column(
            "scaling",
            "scaling_efficiency",
            lambda trial: trial.scaling_efficiency,
            "{:.0%}",
            importance=3,
            meaning="scaling: rate ÷ (devices × rate of one device alone with synthetic batches).",
            has_interval=True,
        ),
        Column(
            "wait",
            "wait_share",
            lambda trial: trial.wait_share,
            "{:.0%}",
            importance=2,
            meaning="wait: fraction of the time without a batch.",
        ),
        Column("first\nbatch", "first_batch_s", lambda trial: trial.first_batch_s, "{:.2f} s", 0),
        *_gpu_columns(),
        Column("CPU\ncores", "cpu_cores", lambda trial: trial.cpu_cores, "{:.2f}", 0),
        sizes(
            "memory",
            "peak_memory_bytes",
            lambda trial: trial.peak_memory_bytes,
            importance=3 if memory_decides else 2,
        ),
        sizes("disk\nread", "disk_read_bytes", lambda trial: trial.disk_read_bytes, 0),
        Column(
            "network,\nkB/image",
            "received_bytes_per_image",
            lambda trial: trial.received_bytes_per_image,
            lambda trial: kilobytes_text(trial.received_bytes_per_image),
            importance=1,
            meaning="network: bytes received per image.",
        ),
        *_csv_columns(),
    ]


def _gpu_columns() -> list[Column[TrialSummary]]:
    return [
        Column(
            "GPU",
            "gpu_utilization",
            lambda trial: trial.gpu_utilization,
            "{:.0%}",
            importance=1,
            meaning="GPU: fraction of the time with a kernel running (NVML).",
        ),
        Column(
            "SMs",
            "gpu_multiprocessors",
            lambda trial: trial.gpu_multiprocessors,
            "{:.0%}",
            importance=0,
            meaning="SMs: multiprocessors in use (GPM).",
        ),
        Column("GPU\npower", "gpu_power_w", lambda trial: trial.gpu_power_w, "{:.0f} W", 0),
        sizes(
            "GPU\nmemory", "gpu_memory_bytes", lambda trial: trial.gpu_memory_bytes, importance=0
        ),
    ]


def _csv_columns() -> list[Column[TrialSummary]]:
    return [
        only_csv("sent_bytes_per_image", lambda trial: trial.sent_bytes_per_image),
        only_csv("start_s", lambda trial: trial.start_s),
        only_csv("blocks", lambda trial: trial.blocks),
        only_csv("blocks_not_counted", lambda trial: len(trial.unproven)),
        only_csv("spread", lambda trial: trial.spread),
        only_csv("images_left_out", lambda trial: trial.left_out),
        only_csv("images_dropped", lambda trial: trial.dropped),
        only_csv("other_pixels_levels", lambda trial: trial.other_pixels),
        only_csv("ranked", lambda trial: trial.ranked),
        only_csv("tied_with_best", lambda trial: trial.tied_with_best),
        only_csv("undecided", lambda trial: trial.undecided),
        only_csv("stopped", lambda trial: trial.stopped.why if trial.stopped else None),
        only_csv(
            "stopped_after_rounds", lambda trial: trial.stopped.rounds if trial.stopped else None
        ),
        only_csv("error", lambda trial: trial.error),
    ]


def sizes(
    title: str, name: str, value: Callable[[Row], int | None], importance: int = ALWAYS
) -> Column[Row]:
    """Return a column of sizes in memory or on a disk."""
    return Column(title, name, value, lambda row: bytes_text(value(row)), importance)


def bench_table(summary: Summary) -> TableData[TrialSummary]:
    """Return one row per trial, fastest first; the winner is bold, unranked trials are dim.

    Trials that read no images are no loaders to choose: they stand below a rule, without a ratio.
    """
    ordered = sorted(summary.trials, key=lambda trial: -_speed(trial))
    loaders = [trial for trial in ordered if is_choice(trial.loader)]
    trials = [*loaders, *(trial for trial in ordered if not is_choice(trial.loader))]
    winner = _winner(summary)
    fastest = _fastest(trials)
    return TableData(
        name="trials",
        columns=[
            words(
                "loader and settings",
                "loader",
                lambda trial: trial.loader,
                text=lambda trial: _name_cell(trial, winner, fastest),
                mark=WINNER,
            ),
            only_csv("settings", settings_text),
            only_csv("winner", lambda trial: trial is winner),
            *trial_columns(memory_decides=len(able_to_win(trials)) > 1),
        ],
        rows=trials,
        styles=[_style(trial, trial is winner) for trial in trials],
        legend=_legend(summary),
        rule_before=len(loaders) if 0 < len(loaders) < len(trials) else None,
    )


def _winner(summary: Summary) -> TrialSummary | None:
    if summary.winner is None or summary.is_alone:
        return None
    return summary.trials[summary.winner]


def _fastest(trials: Sequence[TrialSummary]) -> TrialSummary | None:
    """Return the trial that the ratios compare with: its own is 1."""
    for trial in trials:
        ratio = trial.ratio_to_best
        if trial.tied_with_best and ratio is not None and ratio.value == 1:
            return trial
    return None


def _speed(trial: TrialSummary) -> float:
    return trial.images_per_second.value if trial.images_per_second else -1.0


def _style(trial: TrialSummary, winner: bool) -> str:
    if winner:
        return "bold"
    return "" if trial.ranked and not trial.error else "dim"


def trial_name(trial: Trial | TrialSummary) -> str:
    """Return the loader with its settings."""
    values = {"settings": trial.settings, "augment": trial.augment, "alone": trial.alone}
    return str(Choice(loader=trial.loader, **values))


def settings_text(trial: TrialSummary) -> str:
    """Return the settings of a trial."""
    return trial_name(trial).removeprefix(trial.loader).strip()


def _name_cell(
    trial: TrialSummary, winner: TrialSummary | None, fastest: TrialSummary | None
) -> Text:
    name = Text(trial_name(trial))
    if trial.loader == BASELINE:
        name.append(f"  ({COSTS_NOTHING})")
    if trial is winner:
        name.append(f"  {WINNER}")
    if tie := _tie(trial, winner, fastest):
        name.append(f"  ({tie})")
    elif trial.undecided:
        name.append("  (cannot tell)")
    if trial.other_pixels is not None:
        rank = "" if trial.ranked else ", not ranked"
        name.append(f"  (other pixels: {trial.other_pixels:.1f} levels{rank})", style="yellow")
    if trial.pixels_unknown:
        rank = "" if trial.ranked else ", not ranked"
        name.append(f"  (pixels not compared{rank})", style="yellow")
    if trial.dropped:
        name.append(f"  ({quantity(trial.dropped, 'failed image')} dropped)", style="red")
    if trial.unproven:
        name.append(f"  ({quantity(len(trial.unproven), 'block')} not counted)", style="red")
    if trial.error:
        name.append("  (failed)", style="red")
    return name


def _tie(trial: TrialSummary, winner: TrialSummary | None, fastest: TrialSummary | None) -> str:
    """Return with what a trial is tied; empty if it is with nothing."""
    if not trial.tied_with_best or fastest is None:
        return ""
    if trial is fastest:
        return "" if winner is None or trial is winner else "fastest"
    return f"tie with {'the winner' if fastest is winner else trial_name(fastest)}"


def _legend(summary: Summary) -> str:
    """Return what the marks in the table mean."""
    trials, winner, fastest = summary.trials, _winner(summary), _fastest(summary.trials)
    meanings = {
        utilization_legend(trials): True,
        f"tie: not certainly more than {100 * MARGIN:.0f} % slower than the fastest.": any(
            "tie" in _tie(trial, winner, fastest) for trial in trials
        ),
        f"cannot tell: fewer than {MIN_BLOCKS} rounds in common, or a difference that may be "
        "chance among so many comparisons.": any(trial.undecided for trial in trials),
        f"[–]: fewer than {MIN_BLOCKS} blocks have no interval.": any(
            0 < trial.blocks < MIN_BLOCKS for trial in trials
        ),
        noise_legend(trials): True,
        "other pixels: difference from the first loader in the worst image, in levels of 0 to 255; "
        "see feedbench pixels.": any(trial.other_pixels is not None for trial in trials),
        "pixels not compared: no other loader is known to give the same images.": any(
            trial.pixels_unknown for trial in trials
        ),
    }
    return " ".join(meaning for meaning, applies in meanings.items() if meaning and applies)


def utilization_legend(trials: Sequence[TrialSummary]) -> str:
    """Return what a utilization above 100 % means; empty if there is none."""
    meanings = {
        "AU ≥ 100%: as fast as synthetic batches; the excess is noise.": any(
            utilization_text(trial) == FULL for trial in trials
        ),
        "AU marked !: faster than synthetic batches by more than noise, so these are not its upper "
        "bound.": any(_exceeds_synthetic(trial) for trial in trials),
    }
    return " ".join(meaning for meaning, applies in meanings.items() if applies)


def noise_legend(trials: Sequence[TrialSummary]) -> str:
    """Return what the mark of a noisy rate means; empty if there is none."""
    if not any((trial.spread or 0) > NOISY for trial in trials):
        return ""
    return f"~: the blocks differ by more than {NOISY:.0%} of their median."
