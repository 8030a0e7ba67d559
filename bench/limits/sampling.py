"""Where the CPU time of a process goes: under Python's lock, under another, in which threads."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from feedbench.bench.errors import TrialError
from feedbench.bench.limits.scaling_record import CONSUMER, ThreadSamples
from feedbench.bench.limits.watched_locks import watched_locks

MODULE_MISSING = (
    "who holds Python's lock is seen by a compiled module, which was not built; install feedbench "
    "again where there is a C compiler (docs/install.md)"
)
_MOST_SAMPLES = 1 << 20  # at most 1,000 a second come from each core
_LOOK_S = 0.25  # how often new threads are looked for
_THREADS = Path("/proc/self/task")


@cache
def compiled_module() -> Any | None:
    """Return the compiled module; None where it was not built."""
    try:
        return import_module("feedbench.bench.limits._sampler")
    except ImportError:
        return None


class Sampled(NamedTuple):
    """What was seen.

    Attributes:
        threads: the samples of each kind of thread, that with the most samples first.
        locks: samples under a lock, by the place in the code that made it; of several locks that
            one place made, those of the lock with the most.
    """

    threads: list[ThreadSamples]
    locks: dict[str, int]


class Sampler:
    """Samples every thread of this process, and what it holds, once per so much CPU time of it.

    In the body, locks that Python code makes are watched. `start` begins.
    """

    def __init__(self) -> None:
        """Get ready.

        Raises:
            TrialError: the compiled module is missing.
        """
        self._module = compiled_module()
        if self._module is None:
            raise TrialError(MODULE_MISSING)
        self._stack = ExitStack()
        self._kinds: dict[int, str] = {}  # of the threads that were seen, by number
        self._at_once: Counter[str] = Counter()
        self._looked = 0.0

    def __enter__(self) -> Self:
        self._names = self._stack.enter_context(watched_locks(self._module))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def start(self) -> None:
        """Begin to sample.

        Raises:
            TrialError: the kernel has no timers for the CPU time of one thread.
        """
        module: Any = self._module
        module.start(_MOST_SAMPLES)
        self._stack.callback(module.stop)
        if not module.watch(os.getpid()):
            raise TrialError("this kernel has no timers for the CPU time of single threads")
        self._kinds[os.getpid()] = CONSUMER
        self._look()

    def look(self) -> None:
        """Include threads that are new; to be called often."""
        if perf_counter() - self._looked > _LOOK_S:
            self._look()

    def stop(self) -> Sampled:
        """End, and return what was seen."""
        self._look()
        module: Any = self._module
        found = np.frombuffer(module.stop(), np.int32).reshape(-1, 2)
        found = found[found[:, 0] > 0]  # one that was being written is empty
        return Sampled(self._by_kind(found), self._by_lock(found[:, 1] >> 1))

    def _look(self) -> None:
        module: Any = self._module
        self._looked = perf_counter()
        alive = {int(thread) for thread in os.listdir(_THREADS)}
        of_python = {thread.native_id: thread.name for thread in threading.enumerate()}
        new = alive - self._kinds.keys()
        self._kinds |= {thread: _kind(thread, of_python) for thread in new if module.watch(thread)}
        self._at_once |= Counter(self._kinds[one] for one in alive if one in self._kinds)

    def _by_kind(self, found: Any) -> list[ThreadSamples]:
        states: dict[str, Counter[tuple[bool, bool]]] = {}
        pairs, counts = np.unique(found, axis=0, return_counts=True)
        for (thread, state), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            seen = states.setdefault(self._kinds[thread], Counter())
            seen[bool(state & 1), bool(state >> 1)] += count
        made = [
            ThreadSamples(
                kind=kind,
                at_once=self._at_once[kind],
                free=seen[False, False],
                python=seen[True, False],
                locked=seen[False, True],
                both=seen[True, True],
            )
            for kind, seen in states.items()
        ]
        return sorted(made, key=lambda one: -one.samples)

    def _by_lock(self, numbers: Any) -> dict[str, int]:
        most: dict[str, int] = {}
        for number, count in Counter(numbers[numbers > 0].tolist()).items():
            name = self._names[number - 1]
            most[name] = max(most.get(name, 0), count)
        return most


def _kind(thread: int, of_python: dict[int | None, str]) -> str:
    """Return what the threads of one pool have in common: their name without numbers."""
    name = of_python.get(thread)
    if name is None:
        with suppress(OSError):  # it has ended
            name = (_THREADS / str(thread) / "comm").read_text(errors="replace").strip()
    return re.sub(r"\d+", "N", name or "unknown")
