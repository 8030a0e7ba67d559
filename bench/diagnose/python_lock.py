"""How much of the time a loader's threads hold Python's lock, the GIL."""

from __future__ import annotations

import os
import random
import threading
from contextlib import suppress
from time import perf_counter, sleep
from types import TracebackType
from typing import Self

from feedbench.loaders import BatchSpec, Loader, Manifest, Settings, open_loader

_SLEEP_S = (0.001, 0.003)  # random, so that no rhythm of the loader is followed
_LATE_S = 0.0003  # a thread that wakes up later than this had to wait for the lock
_LEAST_SAMPLES = 20


class LockProbe:
    """Samples whether another thread holds the lock, on a thread of its own.

    It wakes up at random moments, and needs the lock to continue. The time that it waits for a core
    is not counted.
    """

    def __init__(self) -> None:
        self._held: list[bool] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def share(self) -> float | None:
        """Share of the samples in which the lock was held; None if there are too few."""
        samples = len(self._held)
        return sum(self._held) / samples if samples >= _LEAST_SAMPLES else None

    def _sample(self) -> None:
        draw = random.Random(0)
        while not self._stop.is_set():
            asleep_s = draw.uniform(*_SLEEP_S)
            queued_s = _queued_s()
            begin = perf_counter()
            sleep(asleep_s)
            late_s = perf_counter() - begin - asleep_s
            self._held.append(late_s - (_queued_s() - queued_s) > _LATE_S)


def _queued_s() -> float:
    """Return the seconds that this thread was ready to run but had no core; 0 if unknown."""
    with suppress(OSError, ValueError, IndexError):
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        try:
            return int(os.read(file, 100).split()[1]) / 1e9
        finally:
            os.close(file)
    return 0.0


def lock_share(
    loader: Loader, manifest: Manifest, spec: BatchSpec, settings: Settings, seconds: float
) -> float | None:
    """Run a loader alone for `seconds`, and return for which share of them it held the lock.

    Its first batch is not counted.
    """
    with open_loader(loader.name, manifest, spec, settings) as stream:
        next(stream)
        end = perf_counter() + seconds
        with LockProbe() as probe:
            while perf_counter() < end:
                next(stream)
    return probe.share
