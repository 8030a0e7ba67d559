"""tune.json: the results of a search, and how an interrupted search is read to be resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveFloat

from feedbench.bench.analysis.best import RunnerUp
from feedbench.bench.analysis.estimate import Positive
from feedbench.bench.consumers.own_model import model_digest
from feedbench.bench.errors import RecordError
from feedbench.bench.files import read_model
from feedbench.bench.loader_facts import own_of
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import Conditions, Trial, differences
from feedbench.bench.trials_file import TRIALS, read_trials
from feedbench.bench.tune.race import Finding

TUNE = "tune.json"


class FailedBlock(BaseModel):
    """A block that could not be timed, with the index of its round and the reason.

    Attributes:
        choice: loader and settings.
        round: index of its round, from 0.
        reason: why it could not be timed.
        traceback: of the user's own code, if that failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choice: Choice
    round: int
    reason: str
    traceback: str = ""


class Timed(BaseModel):
    """A configuration with the number of its blocks and the median of their rates.

    Attributes:
        choice: loader and settings.
        blocks: number of its blocks.
        images_per_second: median of their rates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choice: Choice
    blocks: int
    images_per_second: PositiveFloat


class TuneRecord(BaseModel):
    """The content of tune.json.

    Attributes:
        about: loaders, limits, consumer, batch spec and recipe; must be equal to resume the search.
        conditions: photographs, machine and versions, likewise; None in records of old versions.
        resume: the command that resumes the search; empty in records of old versions.
        finished: whether nothing was left to try.
        interrupted: whether Ctrl-C, a kill or an error ended it.
        best: the fastest configuration that may win; None before it was compared with another,
            unless the budget has ended before.
        compared: whether the best was compared with another.
        images_per_second: its rate, from blocks that it was not chosen by; None without any.
        seconds: time spent, earlier parts of the search included.
        findings: the result of each comparison, in the order of the search.
        combinations: configurations that the compared loaders have on the machine of the search;
            None in records of old versions.
        timed: all configurations that have a block.
        failures: the blocks that failed.
        busy: how many cores other programs used meanwhile; empty if hardly any, or if unknown.
    """

    model_config = ConfigDict(extra="forbid")

    about: dict[str, Any]
    conditions: Conditions | None = None
    resume: str = ""
    finished: bool = False
    interrupted: bool = False
    best: Choice | None = None
    compared: bool = True
    images_per_second: Positive | None = None
    seconds: float = 0.0
    findings: list[Finding] = []
    combinations: int | None = None
    timed: list[Timed] = []
    failures: list[FailedBlock] = []
    busy: str = ""

    @property
    def loaders(self) -> set[str]:
        """Names of the loaders that were compared, with that of the best."""
        compared = {finding.choice.loader for finding in self.findings}
        return compared | ({self.best.loader} if self.best else set())


@dataclass(frozen=True)
class EarlierSearch:
    """What an interrupted search left, to be resumed; empty for a new search.

    Attributes:
        trials: its blocks.
        failures: its blocks that failed.
        seconds: the time that it took.
    """

    trials: tuple[Trial, ...] = ()
    failures: tuple[FailedBlock, ...] = ()
    seconds: float = 0.0

    def rounds(self) -> dict[int, dict[str, float | str]]:
        """Return the results of each round: images per second, or why a block failed."""
        rounds: dict[int, dict[str, float | str]] = {}
        for trial in self.trials:
            name = str(choice_of(trial))
            for index, rate in trial.rates.items():
                rounds.setdefault(index, {})[name] = rate
        for failure in self.failures:
            rounds.setdefault(failure.round, {})[str(failure.choice)] = failure.reason
        return rounds


def choice_of(trial: Trial) -> Choice:
    """Return the loader of a trial with its settings."""
    return Choice(loader=trial.loader, settings=trial.settings)


def plan_identity(plan: Plan, memory_bytes: int | None) -> dict[str, Any]:
    """Return what must be equal in a search and its continuation.

    Args:
        plan: its choices are the configurations to start from.
        memory_bytes: largest peak memory of a trial's processes.
    """
    own = {choice.loader: own_of(choice.loader) for choice in plan.choices}
    digests = {name: one.digest for name, one in own.items() if one is not None}
    return {
        **({"own functions": digests} if digests else {}),
        **({"own model": model_digest(plan.recipe)} if plan.recipe.own_model else {}),
        "loaders": [str(choice) for choice in plan.choices],
        "max_memory": memory_bytes,
        "allow_different_pixels": plan.pixels.allow_different,
        "seed": plan.timing.seed,
        "consumer": plan.consumer,
        "accelerator": plan.accelerator.model_dump(mode="json") if plan.accelerator else None,
        "spec": plan.spec.model_dump(mode="json"),
        "recipe": plan.recipe.model_dump(mode="json"),
    }


def read_started(folder: Path) -> TuneRecord:
    """Read the record of the search to resume.

    Raises:
        RecordError: there is none in this folder, or it is not valid.
    """
    return read_model(folder / TUNE, TuneRecord, "tune")


def read_earlier_search(
    folder: Path, record: TuneRecord, identity: dict[str, Any], conditions: Conditions
) -> EarlierSearch:
    """Return what an interrupted search left in a folder, to be resumed.

    Args:
        folder: of the search.
        record: of the search, from `read_started`.
        identity: of the search that resumes it, from `plan_identity`.
        conditions: under which it is resumed.

    Raises:
        RecordError: it had another plan or other conditions.
    """
    path = folder / TUNE
    if record.conditions is None or identity.keys() - record.about.keys():
        raise RecordError(
            f"{path}: written by an older version, which did not record all that must be equal; "
            "start a new search without --resume"
        )
    if change := _first_change(record.about, identity):
        raise RecordError(
            f"{path}: the search was started with {change}; give the options of that search, or "
            "start a new one without --resume"
        )
    if changes := differences(record.conditions, conditions):
        raise RecordError(
            f"{path}: the search was started under other conditions: {changes}; restore them, or "
            "start a new search without --resume"
        )
    trials = read_trials(folder) if (folder / TRIALS).exists() else []
    return EarlierSearch(tuple(trials), tuple(record.failures), record.seconds)


def _first_change(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str:
    """Return the first field that differs, with both values; "" if none does."""
    for name in now:
        old, new, path = before.get(name), now[name], f"{prefix}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            if change := _first_change(old, new, f"{path}."):
                return change
        elif old != new:
            return f"{path} {_as_text(old)} against {_as_text(new)}"
    return ""


def _as_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def runners_up(record: TuneRecord) -> list[RunnerUp]:
    """Return the configurations that lost to the best or tied with it, the fastest first."""
    near = [
        RunnerUp(
            loader=finding.choice.loader,
            settings=finding.choice.settings,
            ratio=finding.ratio,
            tie=finding.outcome != "slower",
        )
        for finding in record.findings
        if finding.against == record.best
        and finding.ratio
        and finding.outcome in ("tie", "cannot tell", "slower")
    ]
    return sorted(near, key=lambda runner_up: -runner_up.ratio.value)
