"""The timed blocks of a `fit`, derived from when batches arrived and steps ended: pure functions.

A call of the train function, an execution, takes `steps_per_execution` batches. A block is a run of
executions within one epoch, from the end of the execution before it to the end of its last one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from feedbench.bench.monitor.fetches import Fetch
from feedbench.bench.record import TimedBlock

BLOCKS = 5  # of a window, if it lies in one epoch
_MIN_EXECUTIONS = 3  # per block; a shorter rest, at the end of an epoch, joins the block before it


@dataclass
class Epoch:
    """What is known of one epoch.

    Attributes:
        first: index of its first batch among all of the `fit`.
        ended: seconds at which the device was seen to have finished each execution, by the number
            of the execution in this epoch.
    """

    first: int
    ended: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Execution:
    """One call of the train function.

    Attributes:
        fetches: its batches.
        before: seconds at which the device had finished the execution before it.
        ended: seconds at which the device had finished this one.
    """

    fetches: Sequence[Fetch]
    before: float
    ended: float


@dataclass(frozen=True)
class Window:
    """What to measure.

    Attributes:
        warm_up: batches of the first epoch that are not counted.
        steps: batches to count.
        steps_per_execution: batches that one call of the train function takes.
        is_synchronous: whether the device is idle whenever `fit` asks for a batch.
    """

    warm_up: int
    steps: int
    steps_per_execution: int
    is_synchronous: bool

    def skipped(self, epoch: int) -> int:
        """Return the number of executions that are not counted at the beginning of an epoch.

        The first is never counted: the pipeline starts again, and no execution before it ended.
        """
        batches = self.warm_up if epoch == 0 else 1
        return max(1, -(-batches // self.steps_per_execution))

    def counted(self, epochs: Sequence[Epoch]) -> int:
        """Return the number of counted batches so far; a last, shorter execution counts in full."""
        numbers = (max(0, len(one.ended) - self.skipped(k)) for k, one in enumerate(epochs))
        return sum(numbers) * self.steps_per_execution


def timed_blocks(
    fetches: Sequence[Fetch], epochs: Sequence[Epoch], window: Window
) -> list[list[TimedBlock]]:
    """Return the blocks of each epoch."""
    left = window.steps
    blocks = []
    for number, executions in enumerate(_executions(fetches, epochs, window)):
        counted = executions[window.skipped(number) - 1 :][: -(-left // window.steps_per_execution)]
        left -= len(counted) * window.steps_per_execution
        blocks.append([_block(group, window) for group in _grouped(counted, window)])
    return blocks


def first_waits(fetches: Sequence[Fetch], epochs: Sequence[Epoch]) -> list[float]:
    """Return the seconds that the first batch of each epoch took."""
    firsts = [fetches[epoch.first] for epoch in epochs if epoch.first < len(fetches)]
    return [round(fetch.arrived - fetch.asked, 6) for fetch in firsts]


def _executions(
    fetches: Sequence[Fetch], epochs: Sequence[Epoch], window: Window
) -> Iterator[list[Execution]]:
    """Yield the executions of each epoch that had one before them, in order."""
    per_execution = window.steps_per_execution
    ends = [*(epoch.first for epoch in epochs[1:]), len(fetches)]
    for epoch, end in zip(epochs, ends, strict=True):
        ended, executions = _in_order(epoch.ended), []
        for number in sorted(ended):
            begin = epoch.first + number * per_execution
            part = fetches[begin : min(end, begin + per_execution)]
            if part and number - 1 in ended:
                executions.append(Execution(part, ended[number - 1], ended[number]))
        yield executions


def _in_order(ended: dict[int, float]) -> dict[int, float]:
    """Return the ends, none later than the next one: threads may be late to see them."""
    latest, in_order = math.inf, {}
    for number in sorted(ended, reverse=True):
        latest = in_order[number] = min(latest, ended[number])
    return in_order


def _grouped(executions: Sequence[Execution], window: Window) -> list[Sequence[Execution]]:
    """Return the executions of an epoch as blocks of about equal size."""
    per_block = max(_MIN_EXECUTIONS, -(-window.steps // (BLOCKS * window.steps_per_execution)))
    starts = list(range(0, len(executions), per_block))
    if len(starts) > 1 and len(executions) - starts[-1] < _MIN_EXECUTIONS:
        starts.pop()
    return [executions[a:b] for a, b in pairwise([*starts, len(executions)])]


def _block(executions: Sequence[Execution], window: Window) -> TimedBlock:
    began, ended = executions[0].before, executions[-1].ended
    fetches = [fetch for execution in executions for fetch in execution.fetches]
    nexts = [*(fetch.asked for fetch in fetches[1:]), ended]
    waits = [max(0.0, fetch.arrived - max(fetch.asked, began)) for fetch in fetches]
    return TimedBlock(
        began=round(began, 6),
        seconds=max(ended - began, 1e-6),
        images=sum(fetch.images for fetch in fetches),
        wait_s=[round(wait, 6) for wait in waits],
        step_s=[
            round(max(0.0, following - fetch.arrived), 6)
            for fetch, following in zip(fetches, nexts, strict=True)
        ],
        idle_s=_idle(executions, waits, window),
    )


def _idle(executions: Sequence[Execution], waits: Sequence[float], window: Window) -> list[float]:
    """Return the part of each wait in which the device is known to have had nothing to do.

    Within an execution the end of a single step is unknown, so there nothing is known to be idle,
    unless the device never runs ahead of the host.
    """
    if window.is_synchronous:
        return [round(wait, 6) for wait in waits]
    idle = []
    for execution in executions:
        first = execution.fetches[0]
        known = max(0.0, first.arrived - max(first.asked, execution.before))
        idle += [round(known, 6), *[0.0] * (len(execution.fetches) - 1)]
    return idle
