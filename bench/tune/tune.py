"""tune: a search within a budget of time; its record is in the folder at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.files import write_json
from feedbench.bench.pixels.result import PixelComparison
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import write_trials
from feedbench.bench.signals import interrupts_deferred
from feedbench.bench.trials.run import MANIFEST, Bench, OnEvent
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import TUNE, EarlierSearch, TuneRecord, plan_identity
from feedbench.bench.tune.search import OutOfBudget, Search
from feedbench.bench.tune.space import PIXEL_SETTINGS
from feedbench.loaders import Manifest


@dataclass(frozen=True)
class Budget:
    """What a search and its configurations may use.

    Attributes:
        seconds: for the whole search, including the comparison of pixels.
        memory_bytes: largest peak memory of a trial's processes; None for no limit.
        begin: when the time starts to run, as of `time.monotonic`.
    """

    seconds: float
    memory_bytes: int | None
    begin: float

    def spent_s(self) -> float:
        """Return the seconds that have passed since the beginning."""
        return monotonic() - self.begin


class Tune:
    """One search, or the continuation of one."""

    def __init__(
        self,
        plan: Plan,
        manifest: Manifest,
        folder: Path,
        budget: Budget,
        earlier: EarlierSearch,
        pixels: PixelComparison | None,
        on_event: OnEvent,
        on_finding: Callable[[Finding], None],
    ) -> None:
        """Prepare a search.

        Args:
            plan: consumer, batch spec, recipe and timing; its choices are not used.
            manifest: the images.
            folder: an existing folder for the records.
            budget: of time and memory.
            earlier: the search that is continued.
            pixels: the comparison of the loaders' pixels; None if there was none.
            on_event: called with the progress of trials.
            on_finding: called with each result.
        """
        self._plan = plan
        self._manifest = manifest
        self._folder = folder
        self._budget = budget
        self._earlier = earlier
        self._pixels = pixels
        self._on_finding = on_finding
        self._trial_index: dict[str, int] = {}  # by the text of a choice
        self._bench = Bench(replace(plan, choices=()), manifest, folder, on_event)
        self._search = Search(
            self._time_block,
            self._end,
            self._refusal,
            self._save_finding,
            earlier=earlier.findings,
            first_round=earlier.next_round,
            seed=plan.timing.seed,
        )

    def run(self, defaults: list[Choice]) -> TuneRecord:
        """Search until the budget is spent; the record is in the folder even after Ctrl-C.

        Args:
            defaults: a configuration per loader to start from.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._manifest.write(self._folder / MANIFEST)
        finished = False
        try:
            self._search.run(defaults)
            finished = True
        except OutOfBudget:
            pass
        finally:
            # First the record: closing may take seconds, in which a second Ctrl-C may come.
            self._save(finished=finished)
            self._bench.close()
        return self._record(finished=finished)

    def _time_block(self, choice: Choice, round_index: int) -> float | str:
        """Time one block; return images per second, or why it failed."""
        if self._budget.spent_s() > self._budget.seconds:
            raise OutOfBudget
        name = str(choice)
        if name not in self._trial_index:
            self._trial_index[name] = self._bench.add(choice)
        index = self._trial_index[name]
        self._bench.time_block(index, round_index)
        trial = self._bench.trials[index]
        return trial.error or trial.blocks[-1].images_per_second

    def _end(self, choice: Choice) -> None:
        if str(choice) in self._trial_index:
            self._bench.end(self._trial_index[str(choice)])

    def _refusal(self, choice: Choice) -> str:
        """Return why a configuration must not win; empty if it may."""
        index, limit = self._trial_index.get(str(choice)), self._budget.memory_bytes
        peak = self._bench.trials[index].peak_memory_bytes if index is not None else 0
        if limit is not None and peak > limit:
            return f"uses {peak / 1e6:,.0f} MB of memory, the limit is {limit / 1e6:,.0f} MB"
        levels = excess_difference(choice, self._pixels)
        if levels is not None and not self._plan.pixels.allow_different:
            return f"its pixels differ, by {levels:.1f} levels in the worst image"
        return ""

    def _save_finding(self, finding: Finding) -> None:
        self._on_finding(finding)
        self._save(finished=False)

    def _save(self, *, finished: bool) -> None:
        with interrupts_deferred():  # so that both files describe the same moment
            write_trials(self._folder, [*self._earlier.trials, *self._bench.trials])
            record = self._record(finished=finished)
            write_json(self._folder / TUNE, record.model_dump(mode="json"))

    def _record(self, *, finished: bool) -> TuneRecord:
        best = self._search.best
        rates = self._rates(best) if best else []
        return TuneRecord(
            about=plan_identity(self._plan),
            conditions=self._bench.conditions,
            finished=finished,
            best=best,
            images_per_second=median_interval(rates) if rates else None,
            seconds=self._earlier.seconds + self._budget.spent_s(),
            findings=list(self._search.findings),
        )

    def _rates(self, choice: Choice) -> list[float]:
        """Return the rates of all blocks of a configuration, earlier ones included."""
        return [
            block.images_per_second
            for trial in [*self._earlier.trials, *self._bench.trials]
            if (trial.loader, trial.settings) == (choice.loader, choice.settings)
            for block in trial.blocks
        ]


def excess_difference(choice: Choice, pixels: PixelComparison | None) -> float | None:
    """Return the mean difference of the worst image in levels of 0 to 255.

    None if it is within the tolerance, or if the pixels were not compared.
    """
    if pixels is None:
        return None
    settings = _pixel_settings(choice.settings)
    for compared in pixels.loaders:
        if compared.loader == choice.loader and _pixel_settings(compared.settings) == settings:
            return compared.worst_mean if compared.within is False else None
    return None


def _pixel_settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in PIXEL_SETTINGS if name in settings}
