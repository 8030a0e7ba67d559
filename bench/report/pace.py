"""How long a run will still take, from how long its steps took so far."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import monotonic

from feedbench.bench.plan.plan import Timing
from feedbench.bench.trials.early_stop import blocks_alone
from feedbench.bench.trials.events import TrialEvent

_START_S = 6.0  # for a process to import its libraries; assumed until the first has started


class Pace:
    """The durations of starts and blocks so far, and what is left to do."""

    def __init__(
        self,
        timing: Timing,
        trials: int,
        *,
        confirms: bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Begin the run.

        Args:
            timing: as planned.
            trials: number of trials.
            confirms: whether the winner is timed once more after the last round.
            clock: returns seconds.
        """
        self._timing = timing
        self._confirms = confirms
        self._clock = clock
        self._begin = self._since = clock()  # `_since`: when the present step began
        self._expected_s = 0.0  # of the present step
        self._starts_s: list[float] = []
        self._blocks_s: dict[int, list[float]] = {}  # by the index of the trial
        self._blocks_left = dict.fromkeys(range(trials), timing.blocks)
        self._unstarted = set(range(trials))
        self._warm: set[int] = set()  # whose process has warmed up for a block to come

    def update(self, event: TrialEvent) -> None:
        """Take in what has happened."""
        now, index = self._clock(), event.index
        if event.kind == "warm":
            self._unstarted.discard(index)
            self._warm.add(index)
            self._starts_s.append(now - self._since)
        elif event.kind == "block":
            self._warm.discard(index)
            self._blocks_s.setdefault(index, []).append(now - self._since)
        if event.kind != "warming":
            self._since = now
            expected = {"starting": self._start_s(), "timing": self.block_s(index)}
            self._expected_s = expected.get(event.kind, 0.0)
        self._blocks_left[index] = self._left_of(event)

    def spent_s(self) -> float:
        """Return the seconds since the run began."""
        return self._clock() - self._begin

    def left_s(self) -> float:
        """Return an estimate of the seconds that the run still takes."""
        left_s = self._starts_left() * self._start_s()
        left_s += sum(count * self.block_s(index) for index, count in self._blocks_left.items())
        if self._confirms:
            left_s += blocks_alone(self._timing, self._timing.blocks) * self.block_s()
        # The present step is among what is left.
        elapsed_s = min(self._clock() - self._since, self._expected_s)
        return max(0.0, left_s - elapsed_s)

    def _starts_left(self) -> int:
        """Return how many processes have to start: one for each trial, or for each block."""
        if not self._timing.fresh_processes:
            return len(self._unstarted)
        alone = blocks_alone(self._timing, self._timing.blocks) if self._confirms else 0
        return sum(self._blocks_left.values()) + alone - len(self._warm)

    def _left_of(self, event: TrialEvent) -> int:
        trial = event.trial
        if trial.error is not None:
            self._unstarted.discard(event.index)
            self._warm.discard(event.index)
            return 0
        blocks = self._timing.blocks if trial.stopped is None else trial.stopped.rounds
        if trial.chosen_before is not None:
            blocks, self._confirms = blocks + blocks_alone(self._timing, blocks), False
        return max(0, blocks - len(trial.blocks))

    def _start_s(self) -> float:
        if self._starts_s:
            return median(self._starts_s)
        return self._timing.warm_up_seconds + _START_S

    def block_s(self, index: int | None = None) -> float:
        """Return the duration in seconds of a trial's blocks, or of all if it has none."""
        own = [] if index is None else self._blocks_s.get(index, [])
        known = own or [seconds for blocks in self._blocks_s.values() for seconds in blocks]
        return median(known) if known else self._timing.block_seconds
