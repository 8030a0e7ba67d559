"""From the raw record to every derived figure: a pure function, so old records can be read anew."""

from __future__ import annotations

from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval, paired_ratio
from feedbench.bench.analysis.utilization import gpu_mean, throttled
from feedbench.bench.internal_loaders import is_choice
from feedbench.bench.record import Block, Trial, told
from feedbench.bench.trials.cache_state import unproven_reason

NEAR = 0.95  # of the best's rate: what a cheaper loader must be known to reach to be taken


class TrialSummary(BaseModel):
    """One trial's figures; those that could not be measured are None.

    Attributes:
        ratio_to_best: of paired blocks; the best is the fastest that is no mere ceiling.
        accelerator_utilization: rate over the rate with `synthetic`, of paired blocks.
        wait_share: part of the timed blocks in which the consumer had no batch.
        gpu_utilization: mean over the timed blocks and all visible GPUs; None without a GPU.
        gpu_memory_bytes: most in use on one GPU.
        gpu_multiprocessors: share in use, by GPM, likewise a mean; None where it is not told.
        gpu_power_w: of one GPU, likewise a mean.
        gpu_throttled: share of the samples in which clocks were held down, by reason.
        cpu_cores: processor seconds of the trial's process tree a second of its timed blocks.
        disk_read_bytes: over the timed blocks: 0 shows that the page cache was warm.
        left_out: rows of the source that were fed to no loader.
        dropped: images that failed while it ran.
        other_pixels: levels by which its worst image differs, where that is beyond the tolerance.
        augment: its own augmentation, instead of that of the batch spec.
        ranked: False where other pixels, or none at all, or an augmentation of its own, keep it
            from being chosen.
        tied_with_best: the interval of `ratio_to_best` holds 1.
        unproven: of blocks that were not in the cache state asked for, and are not counted: why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loader: str
    settings: dict[str, Any]
    augment: dict[str, Any] | None = None
    images_per_second: Estimate | None = None
    ratio_to_best: Estimate | None = None
    accelerator_utilization: float | None = None
    wait_share: float | None = None
    gpu_utilization: float | None = None
    gpu_memory_bytes: int | None = None
    gpu_multiprocessors: float | None = None
    gpu_power_w: float | None = None
    gpu_throttled: dict[str, float] = {}
    cpu_cores: float | None = None
    peak_memory_bytes: int | None = None
    disk_read_bytes: int | None = None
    start_s: float | None = None
    first_batch_s: float | None = None
    blocks: int = 0
    spread: float | None = None
    left_out: int = 0
    dropped: int = 0
    other_pixels: float | None = None
    ranked: bool = True
    tied_with_best: bool = False
    unproven: list[str] = []
    error: str | None = None


class Summary(BaseModel):
    """All trials in the order of the plan, and the index of the winner among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: list[TrialSummary]
    winner: int | None


def summarize(trials: list[Trial]) -> Summary:
    """Derive every figure and choose the winner; a block whose state is not proven is not used."""
    reasons = [_unproven(trial) for trial in trials]
    trials = [_proven(trial) for trial in trials]
    best, ceiling = _fastest(trials), _ceiling(trials)
    summaries = [
        _summarize(trial, best, ceiling, unproven)
        for trial, unproven in zip(trials, reasons, strict=True)
    ]
    return Summary(trials=summaries, winner=_winner(summaries))


def _unproven(trial: Trial) -> list[str]:
    """Why blocks are not counted, one reason each."""
    reasons = (why_unproven(trial, block) for block in trial.blocks)
    return [reason for reason in reasons if reason]


def _proven(trial: Trial) -> Trial:
    kept = [block for block in trial.blocks if not why_unproven(trial, block)]
    return trial.model_copy(update={"blocks": kept})


def why_unproven(trial: Trial, block: Block) -> str | None:
    """Why the block's cache state is not proven; None where it is, or none was asked for."""
    return unproven_reason(trial.cache_state, block.disk_read_bytes, block.consumed_bytes)


def is_ranked(trial: Trial) -> bool:
    """Whether it is a choice, does all that is asked, and gives the pixels that it should."""
    same = trial.pixels is None or trial.pixels.within or trial.pixels.allowed
    return is_choice(trial.loader) and same and trial.augment is None


Rates = dict[int, float]


def _fastest(trials: list[Trial]) -> Rates:
    able = [trial.rates for trial in trials if is_ranked(trial) and not trial.error]
    return max(filter(None, able), key=_median, default={})


def _ceiling(trials: list[Trial]) -> Rates:
    """The rate at which the trainer steps when it never waits; a drain has none."""
    able = [
        trial.rates for trial in trials if not is_choice(trial.loader) and trial.consumer != "drain"
    ]
    return max(filter(None, able), key=_median, default={})


def _median(rates: Rates) -> float:
    return median(rates.values())


def _summarize(trial: Trial, best: Rates, ceiling: Rates, unproven: list[str]) -> TrialSummary:
    ratio = paired_ratio(trial.rates, best)
    pixels, warm_up = trial.pixels, next(iter(trial.warm_ups), None)
    ranked = is_ranked(trial)
    return TrialSummary(
        loader=trial.loader,
        settings=trial.settings,
        augment=trial.augment,
        ratio_to_best=ratio,
        tied_with_best=bool(ratio and ranked and not trial.error and ratio.high >= 1),
        start_s=warm_up.start_s if warm_up else None,
        first_batch_s=warm_up.first_batch_s if warm_up else None,
        blocks=len(trial.blocks),
        left_out=sum(trial.left_out.values()),
        dropped=len(trial.dropped),
        other_pixels=pixels.worst_mean if pixels and not pixels.within else None,
        ranked=ranked,
        unproven=unproven,
        error=trial.error,
        **_measured(trial, ceiling),
    )


def _measured(trial: Trial, ceiling: Rates) -> dict[str, Any]:
    """The figures that a trial without a block does not have."""
    rates, blocks = trial.rates, trial.blocks
    if not blocks:
        return {}
    rate, kept_busy = median_interval(list(rates.values())), paired_ratio(rates, ceiling)
    seconds = sum(block.seconds for block in blocks)
    return {
        "images_per_second": rate,
        "spread": (max(rates.values()) - min(rates.values())) / rate.value,
        "accelerator_utilization": kept_busy.value if kept_busy else None,
        "wait_share": sum(sum(block.wait_s) for block in blocks) / seconds,
        "cpu_cores": sum(block.cpu_s for block in blocks) / seconds,
        "peak_memory_bytes": trial.peak_memory_bytes,
        "disk_read_bytes": _disk_read(blocks),
        "gpu_utilization": gpu_mean(blocks, "utilization"),
        "gpu_memory_bytes": _gpu_memory(blocks),
        "gpu_multiprocessors": gpu_mean(blocks, "multiprocessors"),
        "gpu_power_w": gpu_mean(blocks, "power_w"),
        "gpu_throttled": throttled(blocks),
    }


def _disk_read(blocks: list[Block]) -> int | None:
    known = [block.disk_read_bytes for block in blocks if block.disk_read_bytes is not None]
    return sum(known) if len(known) == len(blocks) else None


def _gpu_memory(blocks: list[Block]) -> int | None:
    held = [size for block in blocks for gpu in block.gpus for size in told(gpu.memory_bytes)]
    return int(max(held)) if held else None


def _winner(trials: list[TrialSummary]) -> int | None:
    """Of those tied with the best, the one that uses the least memory and processor together.

    A tie whose interval also reaches far below 1 is not known to be as fast: it is called a tie,
    but does not win by being cheap.
    """
    tied = [
        index
        for index, trial in enumerate(trials)
        if trial.tied_with_best and trial.ratio_to_best and trial.ratio_to_best.low >= NEAR
    ]
    if not tied:
        return None
    least_memory = min(trials[index].peak_memory_bytes or 0 for index in tied) or 1
    least_cores = min(trials[index].cpu_cores or 0 for index in tied) or 1

    def cost(index: int) -> float:
        trial = trials[index]
        return (trial.peak_memory_bytes or 0) / least_memory + (trial.cpu_cores or 0) / least_cores

    return min(tied, key=cost)
