"""The table of a bench and the notes below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import MIN_BLOCKS
from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.analysis.utilization import describe_throttling, utilization_conflict
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial
from feedbench.bench.report.layout import ALWAYS, EMPTY, Column, Layout, build_table, choose_layout

NOISY = 0.10  # (fastest − slowest block) ÷ median rate from which a rate is marked with ~


def or_dash(value: Estimate | float | None, spec: str, unit: str = "") -> str:
    """Return a formatted figure with its unit; a dash if it was not measured."""
    return EMPTY if value is None else f"{value:{spec}}{unit}"


def bytes_text(value: int | None) -> str:
    """Return a size in megabytes or gigabytes; a dash if it was not measured."""
    if value is None:
        return EMPTY
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def _rate(trial: TrialSummary) -> str:
    mark = "~" if (trial.spread or 0) > NOISY else ""
    return mark + or_dash(trial.images_per_second, ",.0f")


def _utilization(trial: TrialSummary) -> str:
    """Return the utilization; above 100 % noise may explain it, or synthetic batches cost more."""
    utilization = trial.accelerator_utilization
    if utilization is None:
        return EMPTY
    if _exceeds_synthetic(trial):
        return f"{utilization.value:.0%}!"
    return "≥ 100 %" if utilization.value > 1 else f"{utilization.value:.0%}"


def _exceeds_synthetic(trial: TrialSummary) -> bool:
    """Whether the trial is ranked and surely faster than synthetic batches."""
    utilization = trial.accelerator_utilization
    return trial.ranked and utilization is not None and utilization.lies_above(1)


_COLUMNS: tuple[Column[TrialSummary], ...] = (
    Column("images/s\n[95 %]", _rate, importance=ALWAYS),
    Column(
        "ratio to best\n[95 %]",
        lambda trial: or_dash(trial.ratio_to_best, ".2f"),
        importance=ALWAYS,
    ),
    Column("AU", _utilization, importance=3),
    Column("wait", lambda trial: or_dash(trial.wait_share, ".0%"), importance=2),
    Column("first\nbatch", lambda trial: or_dash(trial.first_batch_s, ".2f", " s")),
    Column("GPU", lambda trial: or_dash(trial.gpu_utilization, ".0%"), importance=1),
    Column("SMs", lambda trial: or_dash(trial.gpu_multiprocessors, ".0%")),
    Column("GPU\npower", lambda trial: or_dash(trial.gpu_power_w, ".0f", " W")),
    Column("GPU\nmemory", lambda trial: bytes_text(trial.gpu_memory_bytes)),
    Column("CPU\ncores", lambda trial: or_dash(trial.cpu_cores, ".2f")),
    Column("memory", lambda trial: bytes_text(trial.peak_memory_bytes), importance=2),
    Column("disk\nread", lambda trial: bytes_text(trial.disk_read_bytes)),
)


def summary_table(summary: Summary, width: int) -> Table:
    """Return one row per trial, fastest first; the winner is bold, unranked trials are dim.

    Args:
        width: of the terminal in characters; a narrow table has fewer columns.
    """
    order = sorted(range(len(summary.trials)), key=lambda index: -_speed(summary.trials[index]))
    trials = [summary.trials[index] for index in order]
    winner = None if summary.is_alone else summary.winner
    wins = [index == winner for index in order]
    return build_table(
        _layout(trials, width),
        "loader and settings",
        [_name_cell(trial, winner) for trial, winner in zip(trials, wins, strict=True)],
        trials,
        [_style(trial, winner) for trial, winner in zip(trials, wins, strict=True)],
    )


def _layout(trials: Sequence[TrialSummary], width: int) -> Layout[TrialSummary]:
    return choose_layout(_COLUMNS, trials, width)


def _speed(trial: TrialSummary) -> float:
    return trial.images_per_second.value if trial.images_per_second else -1.0


def _style(trial: TrialSummary, winner: bool) -> str:
    if winner:
        return "bold"
    return "" if trial.ranked and not trial.error else "dim"


def trial_name(trial: Trial | TrialSummary) -> str:
    """Return the loader with its settings."""
    return str(Choice(loader=trial.loader, settings=trial.settings, augment=trial.augment))


def _name_cell(trial: TrialSummary, winner: bool) -> Text:
    name = Text(trial_name(trial))
    if winner:
        name.append("  ← winner")
    elif trial.tied_with_best:
        name.append("  (tie)")
    elif trial.undecided:
        name.append("  (cannot tell)")
    if trial.other_pixels is not None:
        rank = "" if trial.ranked else ", not ranked"
        name.append(f"  (other pixels: {trial.other_pixels:.1f} levels{rank})", style="yellow")
    if trial.pixels_unknown:
        rank = "" if trial.ranked else ", not ranked"
        name.append(f"  (pixels not compared{rank})", style="yellow")
    if trial.dropped:
        name.append(f"  ({trial.dropped} images failed and were dropped)", style="red")
    if trial.unproven:
        name.append(f"  ({len(trial.unproven)} blocks not counted)", style="red")
    if trial.error:
        name.append("  (failed)", style="red")
    return name


def notes(summary: Summary, width: int) -> list[str]:
    """Return the explanations of the table at this width, one paragraph per item."""
    trials = summary.trials
    layout = _layout(trials, width)
    legend = _legend(summary, [column.title for column in layout.columns])
    texts = [legend] if legend else []
    if layout.hidden:
        hidden = ", ".join(layout.hidden)
        texts.append(f"Hidden at this width: {hidden} (shown from {layout.full_width} columns).")
    texts += [text for trial in trials for text in _trial_notes(trial)]
    if left_out := max((trial.left_out for trial in trials), default=0):
        texts.append(f"{left_out:,} images were left out: not all of these loaders can read them.")
    return texts


def _legend(summary: Summary, titles: Sequence[str]) -> str:
    trials = summary.trials
    others = [trial for index, trial in enumerate(trials) if index != summary.winner]
    any_noisy = any((trial.spread or 0) > NOISY for trial in trials)
    meanings = {
        "AU (accelerator utilization): rate ÷ rate with synthetic batches.": "AU" in titles,
        "wait: fraction of the time without a batch.": "wait" in titles,
        "tie: the interval of the ratio contains 1: these blocks do not show which is faster.": any(
            trial.tied_with_best for trial in others
        ),
        f"cannot tell: fewer than {MIN_BLOCKS} rounds in common, or a difference that may be luck "
        "among so many comparisons.": any(trial.undecided for trial in trials),
        f"[–]: fewer than {MIN_BLOCKS} blocks have no interval.": any(
            0 < trial.blocks < MIN_BLOCKS for trial in trials
        ),
        "AU marked !: faster than synthetic batches by more than noise, so these are not its upper "
        "bound.": any(_exceeds_synthetic(trial) for trial in trials),
        "GPU: fraction of the time with a kernel running (NVML).": "GPU" in titles,
        "SMs: multiprocessors in use (GPM).": "SMs" in titles,
        f"~: the blocks differ by more than {NOISY:.0%} of their median.": any_noisy,
        "other pixels: difference to the first loader in the worst image, in levels of 0 to 255; "
        "see feedbench pixels.": any(trial.other_pixels is not None for trial in trials),
        "pixels not compared: no other loader is known to give the same images.": any(
            trial.pixels_unknown for trial in trials
        ),
    }
    return " ".join(meaning for meaning, applies in meanings.items() if applies)


def _trial_notes(trial: TrialSummary) -> Iterator[str]:
    name = trial_name(trial)
    if trial.error:
        yield f"{name} failed: {trial.error}"
    if trial.traceback:
        yield trial.traceback
    for fault in trial.own_faults:
        yield f"{name}: {fault}."
    if trial.unproven:
        yield f"{name}: {len(trial.unproven)} blocks not counted: {trial.unproven[0]}"
    if conflict := _conflict(trial):
        yield f"{name}: {conflict}"
    if trial.gpu_throttled:
        yield f"{name}: {describe_throttling(trial.gpu_throttled)}."


def _conflict(trial: TrialSummary) -> str | None:
    if trial.wait_share is None:
        return None
    utilization = trial.accelerator_utilization
    return utilization_conflict(
        trial.wait_share,
        None if utilization is None else 1 - utilization.value,
        trial.gpu_utilization,
        trial.gpu_multiprocessors,
    )
