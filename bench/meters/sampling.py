"""Samples of meters, taken on a thread while a block is timed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple, Self

Readings = dict[str | int, float]  # by name; those of a processor core by its number


class Sample(NamedTuple):
    """Readings taken at one time; those that failed are missing.

    Attributes:
        at: seconds of `perf_counter`, on Linux CLOCK_MONOTONIC, which all processes share.
        readings: values by name.
    """

    at: float
    readings: Readings


class Sampler:
    """Calls a function periodically on its own thread, inside a `with` block."""

    def __init__(
        self,
        take: Callable[[], None],
        period_s: float,
        is_needed: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare the thread.

        Args:
            take: called once per period.
            period_s: its length in seconds.
            is_needed: asked before each call; the thread ends when it returns False.
        """
        self._take = take
        self._period_s = period_s
        self._is_needed = is_needed
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        # The first call follows one period: a sample describes the time before it.
        while not self._done.wait(self._period_s) and self._is_needed():
            self._take()


def sample_now(readings: Readings) -> Sample:
    """Return a sample with the current time."""
    return Sample(perf_counter(), readings)


class Columns(NamedTuple):
    """The samples of one block as columns.

    Attributes:
        at_s: time of each sample, seconds after the block began.
        readings: values of each reading; None where it failed.
    """

    at_s: list[float]
    readings: dict[str | int, list[float | None]]


def samples_during(
    samples: Sequence[Sample], began: float, seconds: float, period_s: float
) -> Columns | None:
    """Return the samples that describe a block; None if there is none.

    A sample describes the period before it. So samples within half a period of the block's start
    are left out.
    """
    end = began + seconds
    inside = [sample for sample in samples if began + period_s / 2 <= sample.at <= end]
    if not any(sample.readings for sample in inside):
        return None
    names = dict.fromkeys(name for sample in inside for name in sample.readings)
    return Columns(
        [round(sample.at - began, 3) for sample in inside],
        {name: [sample.readings.get(name) for sample in inside] for name in names},
    )


def interval_starts(at_s: Sequence[float]) -> list[float]:
    """Return the start of the interval that each sample covers: the previous sample's time."""
    if len(at_s) < 2:
        return [0.0] * len(at_s)
    return [max(0.0, 2 * at_s[0] - at_s[1]), *at_s[:-1]]
