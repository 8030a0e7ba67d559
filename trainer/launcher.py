"""Keeps a GPU busy while the next batch is prepared: copies and launches steps on threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

Logs = dict[str, float]
# Steps that the host may be ahead of the device: one runs, one is launched, one is copied. With
# fewer, the copy of a batch would begin only when the step before it has ended.
RUN_AHEAD = 3
_LAUNCHED = 2  # of these: more would be in the way of the copies


class Launcher:
    """Runs steps one after the other on a device that computes on its own.

    TensorFlow has one queue per GPU: a copy to the GPU waits for all steps that were launched
    before, and so does a read. So a batch is copied as soon as it arrives, on a thread of its own;
    its step is launched when at most one other is left; and the logs of a step are read right
    after it was launched, before the next one is.
    """

    def __init__(
        self,
        place: Callable[[Any], Any],
        launch: Callable[[Any], Any],
        read: Callable[[Any], Logs],
    ) -> None:
        """Begin without a step.

        Args:
            place: copies a batch to the device; returns once it is there.
            launch: launches the step of a batch that was placed; returns its logs, which the
                device may still be computing.
            read: reads these logs; returns once the device has computed them.
        """
        self._place, self._launch, self._read = place, launch, read
        self._copying = ThreadPoolExecutor(1, "feedbench-copy")
        self._launching = ThreadPoolExecutor(1, "feedbench-launch")
        self._reading = ThreadPoolExecutor(_LAUNCHED, "feedbench-logs")
        self._recent: deque[Future[Logs]] = deque(maxlen=_LAUNCHED)

    def submit(self, batch: Any) -> Future[Logs]:
        """Take a batch, and return the logs of its step; an error of the step is theirs."""
        logs: Future[Logs] = Future()
        placed = self._copying.submit(self._place, batch)
        before = self._recent[0] if len(self._recent) == _LAUNCHED else None
        self._launching.submit(self._run, placed, before, logs)
        self._recent.append(logs)
        return logs

    def _run(self, placed: Future[Any], before: Future[Logs] | None, logs: Future[Logs]) -> None:
        """Launch a step once the last but one before it has ended; a step after an error fails."""
        try:
            batch = placed.result()
            if before is not None:
                before.result()
            launched = self._launch(batch)
        except BaseException as error:
            logs.set_exception(error)
        else:
            self._reading.submit(self._fetch, launched, logs)

    def _fetch(self, launched: Any, logs: Future[Logs]) -> None:
        try:
            logs.set_result(self._read(launched))
        except BaseException as error:
            logs.set_exception(error)
