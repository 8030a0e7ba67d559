"""Samples with their times, taken on a thread while something else is timed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Self

Figures = dict[str | int, float]  # by reading; one of a processor core goes by its number


class Sample(NamedTuple):
    """What was read at one time, seconds of `perf_counter`; readings that failed are not in it.

    On Linux that clock is CLOCK_MONOTONIC, one for all processes of the machine.
    """

    at: float
    figures: Figures


class Sampler:
    """Calls a function again and again on a thread of its own, inside a `with`."""

    def __init__(self, take: Callable[[], None], period_s: float) -> None:
        self._take = take
        self._period_s = period_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._until_done, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _until_done(self) -> None:
        # The first after one period: a sample tells of the time before it.
        while not self._done.wait(self._period_s):
            self._take()


def now(figures: Figures) -> Sample:
    """A sample of this moment."""
    return Sample(perf_counter(), figures)


class Columns(NamedTuple):
    """Samples of one block, by reading; None where a reading failed that once.

    Attributes:
        at_s: seconds after the block began.
    """

    at_s: list[float]
    readings: dict[str | int, list[float | None]]


def during(
    samples: Sequence[Sample], began: float, seconds: float, period_s: float
) -> Columns | None:
    """Those samples that tell of a block; None without any.

    A sample tells of the period before it, so one soon after the block began is not of the block.
    """
    end = began + seconds
    kept = [one for one in samples if began + period_s / 2 <= one.at <= end]
    if not any(one.figures for one in kept):
        return None
    names = dict.fromkeys(name for one in kept for name in one.figures)
    return Columns(
        [round(one.at - began, 3) for one in kept],
        {name: [one.figures.get(name) for one in kept] for name in names},
    )


def begins(at_s: Sequence[float]) -> list[float]:
    """When the time began that each sample tells of: at the sample before it."""
    if len(at_s) < 2:
        return [0.0] * len(at_s)
    return [max(0.0, 2 * at_s[0] - at_s[1]), *at_s[:-1]]
