"""tune: a search within a budget of time; its record is in the folder at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from feedbench.bench.analysis.contention import busy_text
from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.files import write_json
from feedbench.bench.pixels.result import PixelComparison
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import Trial
from feedbench.bench.signals import interrupts_deferred
from feedbench.bench.trials.bench import MANIFEST, Bench, DeadlinePassed
from feedbench.bench.trials.events import OnEvent
from feedbench.bench.trials_file import write_trials
from feedbench.bench.tune.costs import Costs
from feedbench.bench.tune.race import Finding, Standing
from feedbench.bench.tune.races import LEAST_MEASURED_ROUNDS
from feedbench.bench.tune.record import (
    TUNE,
    EarlierSearch,
    FailedBlock,
    Timed,
    TuneRecord,
    choice_of,
    plan_identity,
)
from feedbench.bench.tune.rounds import Rounds
from feedbench.bench.tune.search import Search
from feedbench.bench.tune.space import PIXEL_SETTINGS, grid_size
from feedbench.loaders import Manifest


@dataclass(frozen=True)
class Budget:
    """What a search and its configurations may use.

    Attributes:
        seconds: for the whole search, including the comparison of pixels.
        memory_bytes: largest peak memory of a trial's processes; None for no limit.
        begin: when the time starts to run, as of `time.monotonic`.
        fitting: number of the configurations to start from for which there is time; None for all.
    """

    seconds: float
    memory_bytes: int | None
    begin: float
    fitting: int | None = None

    def spent_s(self) -> float:
        """Return the seconds that have passed since the beginning."""
        return monotonic() - self.begin

    def left_s(self) -> float:
        """Return the seconds that are left; 0 if the budget is spent."""
        return max(0.0, self.seconds - self.spent_s())


@dataclass(frozen=True)
class Callbacks:
    """Functions that a search calls as it proceeds.

    Attributes:
        on_event: called with the progress of trials.
        on_finding: called with each result.
        on_round: called before each round.
    """

    on_event: OnEvent
    on_finding: Callable[[Finding], None]
    on_round: Callable[[Standing], None]


class Tune:
    """One search, or the continuation of one."""

    def __init__(
        self,
        plan: Plan,
        manifest: Manifest,
        folder: Path,
        budget: Budget,
        earlier: EarlierSearch,
        compare_pixels: Callable[[], PixelComparison | None],
        resume: str,
        callbacks: Callbacks,
    ) -> None:
        """Prepare a search.

        Args:
            plan: its choices are the configurations to start from, at least one per loader.
            manifest: the images.
            folder: an existing folder for the records.
            budget: of time and memory.
            earlier: the search that is continued.
            compare_pixels: compares the loaders' pixels; returns None if there is nothing to
                compare.
            resume: the command that resumes the search.
            callbacks: called as the search proceeds.
        """
        self._plan = plan
        self._manifest = manifest
        self._folder = folder
        self._budget = budget
        self._earlier = earlier
        self._compare_pixels = compare_pixels
        self._pixels: PixelComparison | None = None
        self._resume = resume
        self._failures = list(earlier.failures)
        self._trial_index: dict[str, int] = {}  # by the text of a choice
        self._costs = Costs(earlier.trials)
        self._started: set[str] = set()  # configurations that have a process
        self._bench = Bench(
            replace(plan, choices=()), manifest, folder, _of_a_search(callbacks.on_event)
        )
        rounds = Rounds(self._time_block, earlier.rounds(), plan.timing.seed, self._start)
        self._search = Search(
            rounds,
            self._end,
            self._refusal,
            callbacks.on_finding,
            callbacks.on_round,
            self._fits,
            reads_objects=manifest.is_remote,
        )
        self._interrupted = self._has_ended = False

    def run(self) -> TuneRecord:
        """Search until the budget is spent; the record is in the folder even after a kill.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._save(finished=False)
        finished = False
        try:
            self._manifest.write(self._folder / MANIFEST)
            self._pixels = self._compare_pixels()
            finished = self._is_finished()
            self._has_ended = True
            self._measure_best()
        except KeyboardInterrupt:
            self._interrupted = True
            raise
        finally:
            try:
                # First the record: closing may take seconds, in which a second Ctrl-C may come.
                self._save(finished=finished)
            finally:
                self._bench.close()
        return self._record(finished=finished)

    def _is_finished(self) -> bool:
        """Search; return whether that ended before the budget was spent."""
        try:
            self._search.run(self._plan.choices[: self._budget.fitting])
        except DeadlinePassed:
            return False
        has_all = self._budget.fitting in (None, len(self._plan.choices))
        return has_all and not self._search.lacks_time

    def _measure_best(self) -> None:
        """Time the best on its own in the time that was kept for it."""
        with suppress(DeadlinePassed):
            self._search.measure_best(lambda: len(self._measured()))

    def _start(self, choices: Sequence[Choice]) -> None:
        """Start the processes of a round side by side."""
        self._bench.deadline = self._deadline()
        begin, new = monotonic(), self._without_process(choices)
        self._bench.start_together([self._trial_of(choice) for choice in choices])
        self._costs.started(new, monotonic() - begin)
        self._started.update(map(str, new))

    def _time_block(self, choice: Choice, round_index: int) -> float | str:
        """Time one block; return images per second, or why it failed."""
        self._bench.deadline = self._deadline()
        begin = monotonic()
        if begin >= self._bench.deadline:
            raise DeadlinePassed
        index = self._trial_of(choice)
        warm_ups = len(self._bench.trials[index].warm_ups)
        self._bench.time_block(index, round_index)
        trial = self._bench.trials[index]
        if trial.error is not None:
            del self._trial_index[str(choice)]  # another block is another trial
            self._started.discard(str(choice))
            failure = FailedBlock(
                choice=choice,
                round=round_index,
                reason=trial.error,
                traceback=trial.traceback or "",
            )
            self._failures.append(failure)
        else:
            seconds, is_first = monotonic() - begin, len(trial.warm_ups) > warm_ups
            self._costs.timed(choice, trial.blocks[-1].seconds, seconds, is_first=is_first)
        self._save(finished=False)
        return trial.error or trial.blocks[-1].images_per_second

    def _trial_of(self, choice: Choice) -> int:
        name = str(choice)
        if name not in self._trial_index:
            self._trial_index[name] = self._bench.add(choice)
        return self._trial_index[name]

    def _deadline(self) -> float:
        """Return when a block must end; the first may take longer, since it is the least result.

        If it fails after the end of the budget, no other is begun.
        """
        end = self._budget.begin + self._budget.seconds
        trials = self._trials()
        has_failed_late = monotonic() >= end and any(trial.error for trial in trials)
        return end if has_failed_late or any(trial.blocks for trial in trials) else inf

    def _fits(self, choices: Sequence[Choice], rounds: int, then: Choice | None) -> bool:
        """Whether there is time for so many rounds, and to measure another in a new process."""
        needed_s = self._costs.foreseen_s(choices, rounds, self._without_process(choices))
        if then is not None:
            needed_s += self._costs.foreseen_s([then], LEAST_MEASURED_ROUNDS, [then])
        return monotonic() + needed_s <= self._deadline()

    def _without_process(self, choices: Sequence[Choice]) -> list[Choice]:
        return [choice for choice in choices if str(choice) not in self._started]

    def _end(self, choice: Choice) -> None:
        self._started.discard(str(choice))
        if str(choice) in self._trial_index:
            self._bench.end(self._trial_index[str(choice)])

    def _refusal(self, choice: Choice) -> str:
        """Return why a configuration must not win; empty if it may."""
        limit = self._budget.memory_bytes
        peak = max((trial.peak_memory_bytes for trial in self._trials_of(choice)), default=0)
        if limit is not None and peak > limit:
            return f"uses {peak / 1e6:,.0f} MB of memory, the limit is {limit / 1e6:,.0f} MB"
        return "" if self._plan.pixels.allow_different else pixel_refusal(choice, self._pixels)

    def _save(self, *, finished: bool) -> None:
        with interrupts_deferred():  # so that both files describe the same moment
            write_trials(self._folder, self._trials())
            record = self._record(finished=finished)
            write_json(self._folder / TUNE, record.model_dump(mode="json"))

    def _record(self, *, finished: bool) -> TuneRecord:
        rates = self._measured()
        best = self._search.best or self._looks_fastest()
        record = TuneRecord(
            about=plan_identity(self._plan, self._budget.memory_bytes),
            conditions=self._bench.conditions,
            resume=self._resume,
            finished=finished,
            # Also if the process is killed now, or the disk is full.
            interrupted=self._interrupted or not self._has_ended,
            best=best,
            compared=best == self._search.best,
            images_per_second=median_interval(rates) if rates and best else None,
            seconds=self._earlier.seconds + self._budget.spent_s(),
            findings=list(self._search.findings),
            timed=_timed(self._trials()),
            failures=self._failures,
            busy=busy_text(self._trials()),
        )
        return record.model_copy(update={"combinations": grid_size(record.loaders)})

    def _looks_fastest(self) -> Choice | None:
        """Return what looks fastest after a budget that was too short to compare anything."""
        if not self._has_ended:
            return None
        if self._search.looks_fastest is not None:
            return self._search.looks_fastest
        failed = {str(failure.choice) for failure in self._failures}
        able = [
            one
            for one in _timed(self._trials())
            if str(one.choice) not in failed and not self._refusal(one.choice)
        ]
        return max(able, key=lambda one: one.images_per_second).choice if able else None

    def _measured(self) -> list[float]:
        """Return the rates of the best in blocks that it was not chosen by."""
        best, first = self._search.looks_fastest, self._search.chosen_round
        return [
            rate
            for trial in (self._trials_of(best) if best else ())
            for index, rate in trial.rates.items()
            if index >= first
        ]

    def _trials(self) -> list[Trial]:
        return [*self._earlier.trials, *self._bench.trials]

    def _trials_of(self, choice: Choice) -> list[Trial]:
        return [trial for trial in self._trials() if choice_of(trial) == choice]


def _of_a_search(on_event: OnEvent) -> OnEvent:
    """Return the callback for a search, whose number of blocks is not known beforehand."""
    return lambda event: on_event(replace(event, blocks=None))


def _timed(trials: Sequence[Trial]) -> list[Timed]:
    rates: dict[str, list[float]] = {}
    choices = {str(choice_of(trial)): choice_of(trial) for trial in trials if trial.blocks}
    for trial in trials:
        rates.setdefault(str(choice_of(trial)), []).extend(trial.rates.values())
    return [
        Timed(choice=choice, blocks=len(rates[name]), images_per_second=median(rates[name]))
        for name, choice in choices.items()
    ]


def pixel_refusal(choice: Choice, pixels: PixelComparison | None) -> str:
    """Return why the pixels of a configuration forbid it to win; empty if they do not.

    Args:
        pixels: the comparison; None if there was nothing to compare.
    """
    settings = _pixel_settings(choice.settings)
    for compared in pixels.loaders if pixels else ():
        if (compared.loader, _pixel_settings(compared.settings)) != (choice.loader, settings):
            continue
        if not compared.comparable:
            return ""
        if compared.within is None:
            return f"its pixels could not be compared: {compared.error}"
        if not compared.within:
            return f"its pixels differ, by {compared.worst_mean:.1f} levels in the worst image"
    return ""


def _pixel_settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in PIXEL_SETTINGS if name in settings}
