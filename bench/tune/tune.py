"""tune: a search over loaders and their settings, its record, and the choice that it ends with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.best import RunnerUp
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.errors import RecordError
from feedbench.bench.files import read_model, write_json
from feedbench.bench.pixels.result import PixelComparison
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import (
    TRIALS,
    Conditions,
    Trial,
    differences,
    read_trials,
    write_trials,
)
from feedbench.bench.signals import interrupts_deferred
from feedbench.bench.trials.run import MANIFEST, Bench, OnEvent
from feedbench.bench.tune.search import Finding, OutOfBudget, Search, alternatives
from feedbench.loaders import Manifest, find_loader

TUNE = "tune.json"
PIXEL_SETTINGS = ("decode",)  # of every loader: what changes its pictures


@dataclass(frozen=True)
class Limits:
    """What a choice may take.

    Attributes:
        seconds: for the whole search, comparing pixels included.
        memory_bytes: of a trial's process tree; None without a limit.
    """

    seconds: float
    memory_bytes: int | None = None


class Found(BaseModel):
    """tune.json: what was searched and what was found.

    Attributes:
        about: consumer, spec, recipe: what must be the same to resume.
        conditions: photographs, machine, versions: likewise; None in older searches.
        finished: whether nothing was left to try.
        best: the fastest that may win.
        images_per_second: its median with interval.
        seconds: spent.
    """

    model_config = ConfigDict(extra="forbid")

    about: dict[str, Any]
    conditions: Conditions | None = None
    finished: bool = False
    best: Choice | None = None
    images_per_second: Estimate | None = None
    seconds: float = 0.0
    findings: list[Finding] = []


@dataclass
class Tune:
    """One search, or the next part of one.

    Attributes:
        begun: when its time began to run, by `time.monotonic`.
    """

    plan: Plan
    manifest: Manifest
    folder: Path
    limits: Limits
    pixels: PixelComparison | None
    report: OnEvent
    told: Callable[[Finding], None]
    before: list[Trial] = field(default_factory=list)
    begun: float = field(default_factory=monotonic)

    def run(self, defaults: list[Choice], earlier: Found | None) -> Found:
        """Search within the budget; what is found is in the folder even after Ctrl-C.

        Raises:
            RecordError: the folder cannot be written.
        """
        self._spent = earlier.seconds if earlier else 0.0
        self.manifest.write(self.folder / MANIFEST)
        self._bench = Bench(replace(self.plan, choices=()), self.manifest, self.folder, self.report)
        self._index: dict[str, int] = {}
        self._search = Search(self._block, self._end, self.refused, self._told)
        self._search.seed = self.plan.timing.seed
        self._search.turn = 1 + max(
            (block.round for trial in self.before for block in trial.blocks), default=-1
        )
        if earlier:
            self._search.settled = {
                (str(one.choice), str(one.against)): one for one in earlier.findings
            }
        finished = False
        try:
            self._search.run(defaults)
            finished = True
        except OutOfBudget:
            pass
        finally:
            self._bench.close()
            self._keep(finished=finished)
        return self._found(finished=finished)

    def refused(self, choice: Choice) -> str:
        """Why a choice may not win; empty if it may."""
        index = self._index.get(str(choice))
        peak = self._bench.trials[index].peak_memory_bytes if index is not None else 0
        if self.limits.memory_bytes is not None and peak > self.limits.memory_bytes:
            return f"takes {peak / 1e6:,.0f} MB"
        levels = beyond_tolerance(choice, self.pixels)
        if levels is not None and not self.plan.pixels.allow_different:
            return f"other pixels, by {levels:.1f} levels in the worst image"
        return ""

    def _block(self, choice: Choice, turn: int) -> float | str:
        if monotonic() - self.begun > self.limits.seconds:
            raise OutOfBudget
        name = str(choice)
        if name not in self._index:
            self._index[name] = self._bench.add(choice)
        index = self._index[name]
        self._bench.time_block(index, turn)
        trial = self._bench.trials[index]
        return trial.error or trial.blocks[-1].images_per_second

    def _end(self, choice: Choice) -> None:
        if str(choice) in self._index:
            self._bench.end(self._index[str(choice)])

    def _told(self, finding: Finding) -> None:
        self.told(finding)
        self._keep(finished=False)

    def _keep(self, *, finished: bool) -> None:
        with interrupts_deferred():  # the two are of one moment
            write_trials(self.folder, [*self.before, *self._bench.trials])
            write_json(self.folder / TUNE, self._found(finished=finished).model_dump(mode="json"))

    def _found(self, *, finished: bool) -> Found:
        rates = self._rates(self._search.best) if self._search.best else []
        return Found(
            about=about(self.plan),
            conditions=self._bench.conditions,
            finished=finished,
            best=self._search.best,
            images_per_second=median_interval(rates) if rates else None,
            seconds=self._spent + monotonic() - self.begun,
            findings=list(self._search.findings),
        )

    def _rates(self, choice: Choice) -> list[float]:
        return [
            block.images_per_second
            for trial in [*self.before, *self._bench.trials]
            if (trial.loader, trial.settings) == (choice.loader, choice.settings)
            for block in trial.blocks
        ]


def about(plan: Plan) -> dict[str, Any]:
    """What a search is of."""
    return {
        "consumer": plan.consumer,
        "spec": plan.spec.model_dump(mode="json"),
        "recipe": plan.recipe.model_dump(mode="json"),
    }


def beyond_tolerance(choice: Choice, pixels: PixelComparison | None) -> float | None:
    """Levels by which the pictures differ in the worst image, if beyond the tolerance."""
    if pixels is None:
        return None
    for one in pixels.loaders:
        if one.loader == choice.loader and _pixel_part(one.settings) == _pixel_part(
            choice.settings
        ):
            return one.worst_mean if one.within is False else None
    return None


def pixel_choices(defaults: list[Choice]) -> list[Choice]:
    """The defaults and all that may give other pixels."""
    more = [
        other
        for choice in defaults
        for name in PIXEL_SETTINGS
        if name in find_loader(choice.loader).space
        for other in alternatives(choice, name)
    ]
    return [*defaults, *more]


def _pixel_part(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in PIXEL_SETTINGS if name in settings}


def read_tune(folder: Path, plan: Plan, conditions: Conditions) -> tuple[Found, list[Trial]]:
    """What an earlier search left in a folder.

    Raises:
        RecordError: there is none, it was of something else, or under other conditions.
    """
    path = folder / TUNE
    earlier = read_model(path, Found, "tune")
    here = about(plan)
    for name, value in earlier.about.items():
        if here.get(name) != value:
            raise RecordError(
                f"{path}: its {name} is not what is asked for now; give the same options as then, "
                "or begin anew without --resume"
            )
    _check_conditions(path, earlier.conditions, conditions)
    return earlier, read_trials(folder) if (folder / TRIALS).exists() else []


def _check_conditions(path: Path, then: Conditions | None, now: Conditions) -> None:
    if then is None:
        raise RecordError(
            f"{path}: an older version wrote it, which kept neither photographs nor machine; start "
            "a new search without --resume"
        )
    if apart := differences(then, now):
        raise RecordError(
            f"{path}: the search began under other conditions than now: {apart}; restore them, or "
            "start a new search without --resume"
        )


def runners_up(found: Found) -> list[RunnerUp]:
    """What raced against the best and was not refused, the nearest first."""
    near = [
        RunnerUp(
            loader=one.choice.loader,
            settings=one.choice.settings,
            ratio=one.ratio,
            tie=one.outcome == "tie",
        )
        for one in found.findings
        if one.against == found.best and one.ratio and one.outcome in ("tie", "slower")
    ]
    return sorted(near, key=lambda one: -one.ratio.value)
