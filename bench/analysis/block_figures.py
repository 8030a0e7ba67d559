"""The figures of a trial that come from its blocks."""

from __future__ import annotations

from typing import Any

from feedbench.bench.analysis.stats import Rates, median_interval, paired_ratio
from feedbench.bench.analysis.utilization import gpu_mean, throttled
from feedbench.bench.record import Block, Trial, present


def block_figures(trial: Trial, baseline: Rates, looks: int) -> dict[str, Any]:
    """Return the figures that need at least one block; empty without any."""
    rates, blocks = trial.rates, trial.blocks
    if not blocks:
        return {}
    rate = median_interval(list(rates.values()), looks=looks)
    seconds = sum(block.seconds for block in blocks)
    return {
        "images_per_second": rate,
        "spread": (max(rates.values()) - min(rates.values())) / rate.value,
        "accelerator_utilization": None
        if trial.alone
        else paired_ratio(rates, baseline, looks=looks),
        # A consumer that does nothing always waits.
        "wait_share": None
        if trial.consumer == "drain"
        else sum(sum(block.wait_s) for block in blocks) / seconds,
        "cpu_cores": sum(block.cpu_s for block in blocks) / seconds,
        "peak_memory_bytes": trial.peak_memory_bytes,
        "disk_read_bytes": _disk_read(blocks),
        "received_bytes_per_image": _per_image(blocks, [one.received_bytes for one in blocks]),
        "sent_bytes_per_image": _per_image(blocks, [one.sent_bytes for one in blocks]),
        "gpu_utilization": gpu_mean(blocks, "utilization"),
        "gpu_memory_bytes": _gpu_memory(blocks),
        "gpu_multiprocessors": gpu_mean(blocks, "multiprocessors"),
        "gpu_power_w": gpu_mean(blocks, "power_w"),
        "gpu_throttled": throttled(blocks),
    }


def _disk_read(blocks: list[Block]) -> int | None:
    known = [block.disk_read_bytes for block in blocks if block.disk_read_bytes is not None]
    return sum(known) if len(known) == len(blocks) else None


def _per_image(blocks: list[Block], counts: list[int | None]) -> float | None:
    """Return the bytes per image; None if they are unknown for a block."""
    known = [count for count in counts if count is not None]
    return sum(known) / sum(one.images for one in blocks) if len(known) == len(blocks) else None


def _gpu_memory(blocks: list[Block]) -> int | None:
    sizes = [size for block in blocks for gpu in block.gpus for size in present(gpu.memory_bytes)]
    return int(max(sizes)) if sizes else None
