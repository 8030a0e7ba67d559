"""When an emulated accelerator works and when it idles, from the recorded waits and steps.

The host passes on a batch and continues, up to some steps ahead. So a host that waits does not mean
an idle device: the device idles only when all steps that it was given have ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.record import Block, Trial

Periods = NDArray[np.float64]  # [periods, 2]: begin and end, seconds since the block began


def step_seconds(profile: Accelerator, image_size: int, block: Block) -> float:
    """Return the duration of a step of an emulated accelerator, in seconds."""
    images = block.images / max(1, len(block.wait_s))
    return images * profile.seconds_per_image(image_size)


def emulated_step_s(trial: Trial, block: Block) -> float:
    """Return the step of the accelerator that a trial emulated, in seconds."""
    profile = Accelerator.model_validate(trial.accelerator)
    return step_seconds(profile, trial.spec["image_size"], block)


def busy_periods(block: Block, step_s: float) -> Periods:
    """Return the periods in which the device executes steps; adjacent steps are one period.

    A step begins when its batch has arrived and the step before has ended.

    Args:
        step_s: duration of a step of the device, in seconds.
    """
    arrived = handed_over_at(block)
    if not arrived.size:
        return np.empty((0, 2))
    number = np.arange(arrived.size)
    # Each batch delays the ends of all later steps, so the latest of these counts.
    end = np.maximum.accumulate(arrived - number * step_s) + (number + 1) * step_s
    is_idle_before = np.append(True, arrived[1:] > end[:-1])
    is_idle_after = np.append(is_idle_before[1:], True)
    periods = np.column_stack([arrived[is_idle_before], end[is_idle_after]])
    within: Periods = np.minimum(periods, block.seconds)
    return within


def handed_over_at(block: Block) -> NDArray[np.float64]:
    """Return when each batch reached the consumer, in seconds since the block began."""
    steps = min(len(block.wait_s), len(block.step_s))
    durations = np.column_stack([block.wait_s[:steps], block.step_s[:steps]]).ravel()
    ends: NDArray[np.float64] = np.cumsum(durations)[::2]
    return ends


def emulated_busy(block: Block, seconds_per_image: float) -> Periods:
    """Return when an emulated accelerator executed steps; steps without a gap are one period."""
    step_s = block.images / len(block.step_s) * seconds_per_image
    return busy_periods(block, step_s)


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
