"""When an emulated accelerator works and when it idles, from the recorded waits and steps.

The host hands over a batch and goes on, up to some steps ahead. So a host that waits does not mean
a device that idles: the device idles only after the steps that it was given have ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from feedbench.bench.plan.accelerators import Accelerator
from feedbench.bench.record import Block, Trial

Period = tuple[float, float]  # seconds since the block began


def step_seconds(profile: Accelerator, image_size: int, block: Block) -> float:
    """Return the duration of a step of an emulated accelerator, in seconds."""
    images = block.images / max(1, len(block.wait_s))
    return images * profile.seconds_per_image(image_size)


def emulated_step_s(trial: Trial, block: Block) -> float:
    """Return the step of the accelerator that a trial emulated, in seconds."""
    profile = Accelerator.model_validate(trial.accelerator)
    return step_seconds(profile, trial.spec["image_size"], block)


def busy_periods(block: Block, step_s: float) -> Iterator[Period]:
    """Yield the periods in which the device executes steps; adjacent steps are one period.

    Args:
        step_s: duration of a step of the device, in seconds.
    """
    at = begin = end = 0.0
    for wait_s, host_s in zip(block.wait_s, block.step_s, strict=False):
        arrived = at + wait_s
        if arrived > end:
            if end > begin:
                yield begin, end
            begin = end = arrived
        end += step_s
        at = arrived + host_s
    if end > begin:
        yield begin, min(end, block.seconds)
