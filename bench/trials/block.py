"""The timed window: batches pulled from a stream and handed to a consumer."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from feedbench.bench.consumers.base import Consumer
from feedbench.bench.record import TimedBlock
from feedbench.loaders import Batch, images_in

MIN_STEPS = 3  # per block, however slow the step
LONG_S = 8.0  # a block that lasts so long needs no more steps


def timed_block(
    batches: Iterator[Batch], consumer: Consumer, seconds: float, min_steps: int = MIN_STEPS
) -> TimedBlock:
    """Feed the consumer and return the raw times of each step.

    The block begins and ends with an idle device, so no unfinished step is counted. The stream can
    be used afterwards: it is never read to its end, where an iterator may stall.

    Args:
        batches: an endless stream.
        seconds: minimum duration.
        min_steps: minimum number of steps, but no more than `MIN_STEPS` in a block of `LONG_S`.
    """
    waits: list[float] = []
    steps: list[float] = []
    images = 0
    consumer.finish()
    begin = ready = perf_counter()
    end = begin + seconds
    while ready < end or len(steps) < _steps_needed(min_steps, ready - begin):
        batch = next(batches)
        arrived = perf_counter()
        consumer.step(batch)
        waits.append(arrived - ready)
        ready = perf_counter()
        steps.append(ready - arrived)
        images += images_in(batch)
    consumer.finish()
    elapsed = perf_counter() - begin
    return TimedBlock(
        began=round(begin, 6),
        seconds=elapsed,
        images=images,
        wait_s=_rounded(waits),
        step_s=_rounded(steps),
    )


def _steps_needed(min_steps: int, passed_s: float) -> int:
    return min_steps if passed_s < LONG_S else min(min_steps, MIN_STEPS)


def _rounded(seconds: list[float]) -> list[float]:
    """Round to microseconds, the noise of the clock."""
    return [round(value, 6) for value in seconds]
