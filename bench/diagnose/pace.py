"""How long a diagnosis will still take, from how long its starts and rounds took so far."""

from __future__ import annotations

from statistics import median
from time import monotonic

from feedbench.bench.diagnose.events import DiagnosisEvent
from feedbench.bench.diagnose.measure import LEAST_ROUNDS
from feedbench.bench.diagnose.setup import DiagnosisTiming
from feedbench.bench.diagnose.stages import OF_SERVICE

_START_S = 6.0  # for a process to import its libraries; assumed until the first has started
_AS_TRIALS = (
    *OF_SERVICE,
    "loader",
    "loader, other size",
    "fixed",
    "reference",
    "transfer",
    "consumer",
)


class DiagnosisPace:
    """The durations of starts and rounds so far, and what is left to do.

    Attributes:
        process: number of the process that was started last, from 1.
        processes: number of all processes, as far as they are known.
    """

    def __init__(self, timing: DiagnosisTiming) -> None:
        """Begin the diagnosis."""
        self.process = self.processes = 0
        self._timing = timing
        self._begin = self._since = monotonic()  # `_since`: when the present start or round began
        self._starts_s: list[float] = []
        self._slowest_round_s = 0.0

    def update(self, event: DiagnosisEvent) -> None:
        """Take in what has happened."""
        now = monotonic()
        starts = event.kind == "starting"
        if event.round is None:
            self.processes = self.process + starts + event.processes_left
        if starts:
            self.process += 1
        elif event.kind == "started":
            self._starts_s.append(now - self._since)
        elif event.kind == "round":
            self._slowest_round_s = max(self._slowest_round_s, now - self._since)
        if event.kind == "round" or event.round is None:
            self._since = now

    def spent_s(self) -> float:
        """Return the seconds since the diagnosis began."""
        return monotonic() - self._begin

    def planned_s(self, event: DiagnosisEvent) -> tuple[float, float]:
        """Return the seconds that a diagnosis takes in all, at least and at most."""
        starts_s = self.processes * self._start_s()
        least_s = starts_s + min(LEAST_ROUNDS, self._timing.rounds) * self.round_s(event)
        all_s = starts_s + self._timing.rounds * self.round_s(event)
        return least_s, max(least_s, min(all_s, self._timing.budget_s))

    def left_s(self, event: DiagnosisEvent) -> float:
        """Return an estimate of the seconds that the diagnosis still takes."""
        elapsed_s = monotonic() - self._since
        if event.round is None:
            waiting = event.processes_left + (event.kind == "starting")
            starts_s = max(0.0, waiting * self._start_s() - min(elapsed_s, self._start_s()))
            return starts_s + self._rounds_s(event, 0, 0.0, self.spent_s() + starts_s)
        done = event.round + (event.kind == "round")
        return self._rounds_s(event, done, elapsed_s, self.spent_s())

    def _rounds_s(
        self, event: DiagnosisEvent, done: int, elapsed_s: float, spent_s: float
    ) -> float:
        """Return the seconds of the rounds that the time budget still allows.

        Args:
            done: number of complete rounds.
            elapsed_s: since the last of them.
            spent_s: until these rounds begin.
        """
        round_s = self.round_s(event)
        elapsed_s = min(elapsed_s, round_s)
        all_s = (self._timing.rounds - done) * round_s - elapsed_s
        least_s = max(0, LEAST_ROUNDS - done) * round_s - elapsed_s
        return max(0.0, min(all_s, max(least_s, self._timing.budget_s - spent_s)))

    def round_s(self, event: DiagnosisEvent) -> float:
        """Return the duration of a round: that of the slowest, or else as it is planned."""
        if self._slowest_round_s:
            return self._slowest_round_s
        timing = self._timing
        seconds: dict[str, float] = dict.fromkeys(_AS_TRIALS, timing.block_s)
        seconds |= dict.fromkeys(("end to end", "rewritten"), timing.end_to_end_s)
        return sum(seconds.get(part.name, timing.stage_s) for part in event.record.parts)

    def _start_s(self) -> float:
        """Return how long a process takes to start."""
        return median(self._starts_s) if self._starts_s else _START_S + self._timing.warm_up_s
