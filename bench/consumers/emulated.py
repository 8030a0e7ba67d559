"""An emulated accelerator: each step takes a known time and no CPU."""

from __future__ import annotations

from collections import deque
from time import perf_counter, sleep
from typing import Any

from feedbench.loaders import Batch, images_in
from feedbench.trainer import RUN_AHEAD

_SPIN_S = 0.0003  # sleeps end about 0.1 ms late, so the last part of a wait is a busy loop


class EmulatedAccelerator:
    """Queues batches as a device does, and executes one step after the other.

    The end of a step is calculated from its start, not from when a sleep ended, so late wake-ups
    do not add up. Copying to the device is not emulated.
    """

    def __init__(self, seconds_per_image: float, run_ahead: int = RUN_AHEAD) -> None:
        """Emulate a device.

        Args:
            seconds_per_image: duration of a step divided by its batch size.
            run_ahead: number of steps that the host may be ahead of the device.
        """
        self._seconds_per_image = seconds_per_image
        self._run_ahead = run_ahead
        # Holds each batch until its step ends, as the queue of a device does.
        self._queue: deque[tuple[float, Any]] = deque()
        self._free_at = 0.0

    def step(self, batch: Batch) -> None:
        """Queue a batch; wait while the host is more than `run_ahead` steps ahead."""
        begin = max(self._free_at, perf_counter())
        self._free_at = begin + images_in(batch) * self._seconds_per_image
        self._queue.append((self._free_at, batch.images))
        while len(self._queue) > self._run_ahead:
            sleep_until(self._queue[0][0])
            self._queue.popleft()

    def finish(self) -> None:
        """Wait until all steps have ended."""
        if self._queue:
            sleep_until(self._free_at)
        self._queue.clear()


def sleep_until(moment: float) -> None:
    """Wait until `perf_counter` reaches a moment, with an error far below a millisecond."""
    while (remaining := moment - perf_counter()) > _SPIN_S:
        sleep(remaining - _SPIN_S)
    while perf_counter() < moment:
        pass
