"""An accelerator that takes a measured time for each step, and no processor."""

from __future__ import annotations

from collections import deque
from time import perf_counter, sleep
from typing import Any

from feedbench.loaders import Batch
from feedbench.trainer.step import RUN_AHEAD

_SPIN_S = 0.0003  # a sleep ends late by about a tenth of a millisecond; the rest is spun


class Emulated:
    """Takes batches as a device does: they queue, and each is worked at when the last is done.

    When a step ends follows from when it could begin, not from when a sleep ended: lateness of
    the clock does not add up. Copying to the device is not emulated.
    """

    def __init__(self, seconds_per_image: float, run_ahead: int = RUN_AHEAD) -> None:
        """Emulate a device.

        Args:
            seconds_per_image: of a step, for each of its images.
            run_ahead: steps that the host may be ahead of the device.
        """
        self._seconds_per_image = seconds_per_image
        self._run_ahead = run_ahead
        # Each batch is held until its step is done, as a device's queue holds it.
        self._queue: deque[tuple[float, Any]] = deque()
        self._free_at = 0.0

    def step(self, batch: Batch) -> None:
        """Give the device one batch; wait only while it has too many."""
        begin = max(self._free_at, perf_counter())
        self._free_at = begin + len(batch.labels) * self._seconds_per_image
        self._queue.append((self._free_at, batch.images))
        while len(self._queue) > self._run_ahead:
            sleep_until(self._queue[0][0])
            self._queue.popleft()

    def finish(self) -> None:
        """Return when the device has done all that it was given."""
        if self._queue:
            sleep_until(self._free_at)
        self._queue.clear()


def sleep_until(moment: float) -> None:
    """Return at a moment of `perf_counter`: sleep, then spin for the last part of a millisecond."""
    while (left := moment - perf_counter()) > _SPIN_S:
        sleep(left - _SPIN_S)
    while perf_counter() < moment:
        pass
