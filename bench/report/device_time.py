"""When the device was busy during a block, as far as the record shows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.analysis.device import busy_periods
from feedbench.bench.record import Block

Periods = NDArray[np.float64]  # [periods, 2]: begin and end, seconds since the block began


def handed_over_at(block: Block) -> NDArray[np.float64]:
    """Return when each batch reached the consumer, in seconds since the block began."""
    durations = np.column_stack([block.wait_s, block.step_s]).ravel()
    ends: NDArray[np.float64] = np.cumsum(durations)[::2]
    return ends


def emulated_busy(block: Block, seconds_per_image: float) -> Periods:
    """Return when an emulated accelerator executed steps; steps without a gap are one period."""
    step_s = block.images / len(block.step_s) * seconds_per_image
    return np.array(list(busy_periods(block, step_s))).reshape(-1, 2)


def known_idle(block: Block) -> Periods | None:
    """Return when the device is known to have had no work: the ends of waits; None if unknown."""
    if block.idle_s is None:
        return None
    ends, idle_s = handed_over_at(block), np.array(block.idle_s)
    periods = np.column_stack([ends - idle_s, ends])
    some: Periods = periods[idle_s > 0]
    return some


def idle_share(blocks: Sequence[Block], seconds_per_image: float | None) -> float | None:
    """Return the share of the timed seconds for which the device idled; None if unknown."""
    if seconds_per_image is not None:
        idle = [b.seconds - _length(emulated_busy(b, seconds_per_image)) for b in blocks]
    elif all(block.idle_s is not None for block in blocks):
        idle = [sum(block.idle_s or ()) for block in blocks]
    else:
        return None
    return float(sum(idle) / sum(block.seconds for block in blocks))


def _length(periods: Periods) -> float:
    return float((periods[:, 1] - periods[:, 0]).sum())
