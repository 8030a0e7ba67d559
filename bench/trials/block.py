"""The timed window: pull a batch, hand it over, again."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from feedbench.bench.consumers.base import Consumer
from feedbench.bench.record import TimedBlock
from feedbench.loaders import Batch

LEAST_STEPS = 3  # of a block, however slow the step


def timed_block(
    batches: Iterator[Batch], consumer: Consumer, seconds: float, least_steps: int = LEAST_STEPS
) -> TimedBlock:
    """Feed the consumer for so many seconds, from its device idle to its device idle.

    The stream goes on afterwards: the end of an iterator, which may stall, is never timed.
    """
    waits: list[float] = []
    steps: list[float] = []
    images = 0
    consumer.finish()
    begin = ready = perf_counter()
    end = begin + seconds
    while ready < end or len(steps) < least_steps:
        batch = next(batches)
        arrived = perf_counter()
        consumer.step(batch)
        waits.append(arrived - ready)
        ready = perf_counter()
        steps.append(ready - arrived)
        images += len(batch.labels)
    consumer.finish()
    taken = perf_counter() - begin
    return TimedBlock(
        began=round(begin, 6),
        seconds=taken,
        images=images,
        wait_s=_rounded(waits),
        step_s=_rounded(steps),
    )


def _rounded(seconds: list[float]) -> list[float]:
    """To the microsecond: below it is the clock's own noise."""
    return [round(value, 6) for value in seconds]
