"""The table of a bench: which trial won, and all figures of each."""

from __future__ import annotations

from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.analysis.estimate import rate_form
from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.html.kinds.cells import (
    GB,
    KB,
    MB,
    Field,
    figure,
    first_rows,
    number,
    ratio_figure,
    table_of,
)
from feedbench.bench.html.parts import Figure, Table
from feedbench.bench.quantities import quantity
from feedbench.bench.report.devices_table import TOGETHER, DeviceRow, device_rows
from feedbench.bench.report.table import (
    COSTS_NOTHING,
    UTILIZATION,
    trial_name,
    utilization_legend,
    utilization_text,
)
from feedbench.bench.trials.internal_loaders import is_choice
from feedbench.loaders import BASELINE


def summary_rows(summary: Summary) -> Table:
    """Return the table of a bench, fastest first; narrow pages show its first columns."""
    winner = winner_of(summary)
    return table_of(
        "All loaders",
        _fields(winner, nothing_to_compare=summary.is_alone),
        fastest_first(summary),
        lambda trial: trial is winner,
        utilization_legend(summary.trials),
    )


def _fields(winner: TrialSummary | None, *, nothing_to_compare: bool) -> list[Field[TrialSummary]]:
    return [
        Field("loader and settings", trial_name),
        Field("images/s [95 %]", _rate, "median over the blocks, with its interval"),
        Field("ratio to best [95 %]", _ratio, "rate ÷ rate of the fastest, in the same rounds"),
        Field(
            "result",
            lambda trial: _result(trial, trial is winner, may_tie=not nothing_to_compare),
            f"winner; slower: certainly more than {100 * MARGIN:.0f} % slower than the fastest; "
            "tie: not certainly slower; cannot tell: too few blocks",
        ),
        Field("AU", _utilization, f"accelerator utilization: {UTILIZATION}"),
        Field(
            "scaling [95 %]",
            lambda trial: figure(trial.scaling_efficiency, ".0%"),
            "rate ÷ (devices × rate of one device alone with synthetic batches)",
        ),
        Field(
            "wait",
            lambda trial: number(trial.wait_share, ".0%"),
            "fraction of the time without a batch",
        ),
        Field(
            "memory, MB",
            lambda trial: number(trial.peak_memory_bytes, ",.0f", scale=MB),
            "peak of the trial's processes",
        ),
        Field(
            "CPU cores",
            lambda trial: number(trial.cpu_cores),
            "CPU seconds of the trial's processes per second",
        ),
        *_GPU_FIELDS,
        *_MORE_FIELDS,
    ]


_GPU_FIELDS: list[Field[TrialSummary]] = [
    Field(
        "GPU",
        lambda trial: number(trial.gpu_utilization, ".0%"),
        "fraction of the time with a kernel running (NVML)",
    ),
    Field(
        "SMs",
        lambda trial: number(trial.gpu_multiprocessors, ".0%"),
        "multiprocessors in use (GPM)",
    ),
    Field(
        "GPU power, W",
        lambda trial: number(trial.gpu_power_w, ",.0f"),
        "mean over the blocks",
    ),
    Field(
        "GPU memory, GB",
        lambda trial: number(trial.gpu_memory_bytes, ",.2f", scale=GB),
        "largest",
    ),
]
_MORE_FIELDS: list[Field[TrialSummary]] = [
    Field(
        "first batch, s",
        lambda trial: number(trial.first_batch_s),
        "from opening the loader to its first batch",
    ),
    Field(
        "disk read, MB",
        lambda trial: number(trial.disk_read_bytes, ",.0f", scale=MB),
        "over all blocks; 0 if the files were in memory",
    ),
    Field(
        "received, kB per image",
        lambda trial: number(trial.received_bytes_per_image, ",.1f", scale=KB),
        "over the network, by the trial's own connections",
    ),
    Field(
        "sent, bytes per image",
        lambda trial: number(trial.sent_bytes_per_image, ",.0f"),
        "over the network, by the trial's own connections",
    ),
    Field("blocks", lambda trial: trial.blocks, "that count"),
    Field(
        "spread", lambda trial: number(trial.spread, ".0%"), "(fastest − slowest block) ÷ median"
    ),
]


def _rate(trial: TrialSummary) -> Figure | None:
    rate = trial.images_per_second
    return figure(rate, rate_form(rate.value) if rate else "")


def _ratio(trial: TrialSummary) -> Figure | None:
    return ratio_figure(trial.ratio_to_best) if is_choice(trial.loader) else None


def _utilization(trial: TrialSummary) -> Figure | None:
    """Return the utilization; above 100 % as in the table of `show`."""
    share = trial.accelerator_utilization
    if share is None or share.value <= 1:
        return figure(share, ".0%")
    return Figure(share.value, format=".0%", text=utilization_text(trial))


def _result(trial: TrialSummary, wins: bool, *, may_tie: bool) -> str:
    words = {
        "winner": wins,
        "tie": may_tie and trial.tied_with_best and not wins,
        "slower": _is_slower(trial),
        "cannot tell": trial.undecided,
        f"other pixels: {trial.other_pixels or 0:.1f} levels": trial.other_pixels is not None,
        "pixels not compared": trial.pixels_unknown,
        f"{quantity(trial.dropped, 'failed image')} dropped": trial.dropped > 0,
        f"{quantity(len(trial.unproven), 'block')} not counted": bool(trial.unproven),
        "failed": trial.error is not None,
        "not ranked": not trial.ranked and trial.error is None and is_choice(trial.loader),
        COSTS_NOTHING: trial.loader == BASELINE,
    }
    return ", ".join(word for word, applies in words.items() if applies)


def _is_slower(trial: TrialSummary) -> bool:
    """Whether the trial is ranked and certainly slower than the fastest."""
    ratio = trial.ratio_to_best
    is_open = trial.tied_with_best or trial.undecided
    return trial.ranked and ratio is not None and ratio.lies_below(1 - MARGIN) and not is_open


def fastest_first(summary: Summary) -> list[TrialSummary]:
    """Return the trials by rate; those without a rate, and then those that are no loaders, last."""

    def slowness(trial: TrialSummary) -> tuple[bool, float]:
        rate = trial.images_per_second
        return not is_choice(trial.loader), -rate.value if rate else 1.0

    return sorted(summary.trials, key=slowness)


def winner_of(summary: Summary) -> TrialSummary | None:
    """Return the winner; None if there is none, or nothing that it was compared with."""
    if summary.winner is None or summary.is_alone:
        return None
    return summary.trials[summary.winner]


def devices_of(summary: Summary) -> Table:
    """Return one row per device of each trial that several trained."""
    rows, note = first_rows(device_rows(summary), "the loaders of the plan that come first")
    return table_of("Devices", _DEVICE_FIELDS, rows, note=" ".join(filter(None, [TOGETHER, note])))


_DEVICE_FIELDS: list[Field[DeviceRow]] = [
    Field("loader and settings", lambda row: trial_name(row.trial)),
    Field("device", lambda row: row.device_name),
    Field("images/s", lambda row: number(row.device.images_per_second, ",.1f"), "its part"),
    Field("AU", lambda row: _utilization(row.trial), f"accelerator utilization: {UTILIZATION}"),
    Field(
        "GPU",
        lambda row: number(row.device.gpu_utilization, ".0%"),
        "fraction of the time with a kernel running (NVML)",
    ),
    Field(
        "SMs",
        lambda row: number(row.device.gpu_multiprocessors, ".0%"),
        "multiprocessors in use (GPM)",
    ),
    Field("power, W", lambda row: number(row.device.gpu_power_w, ",.0f"), "mean over the blocks"),
    Field(
        "memory, GB",
        lambda row: number(row.device.gpu_memory_bytes, ",.2f", scale=GB),
        "largest",
    ),
]
