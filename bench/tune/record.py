"""tune.json: the results of a search, and how an interrupted search is read to be resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.best import RunnerUp
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.errors import RecordError
from feedbench.bench.files import read_model
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import TRIALS, Conditions, Trial, differences, read_trials
from feedbench.bench.tune.race import Finding

TUNE = "tune.json"


class TuneRecord(BaseModel):
    """The content of tune.json.

    Attributes:
        about: consumer, batch spec and recipe; must be equal to resume the search.
        conditions: photographs, machine and versions, likewise; None in records of old versions.
        finished: whether nothing was left to try.
        best: the fastest configuration that may win.
        images_per_second: its rate.
        seconds: time spent, earlier parts of the search included.
    """

    model_config = ConfigDict(extra="forbid")

    about: dict[str, Any]
    conditions: Conditions | None = None
    finished: bool = False
    best: Choice | None = None
    images_per_second: Estimate | None = None
    seconds: float = 0.0
    findings: list[Finding] = []


@dataclass(frozen=True)
class EarlierSearch:
    """What an interrupted search left, to be resumed; empty for a new search.

    Attributes:
        trials: its blocks.
        findings: its results, which are not measured again.
        seconds: the time that it took.
    """

    trials: tuple[Trial, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0

    @property
    def next_round(self) -> int:
        """Index of the first round that was not begun."""
        rounds = [block.round for trial in self.trials for block in trial.blocks]
        return 1 + max(rounds, default=-1)


def plan_identity(plan: Plan) -> dict[str, Any]:
    """Return what must be equal in a search and its continuation."""
    return {
        "consumer": plan.consumer,
        "spec": plan.spec.model_dump(mode="json"),
        "recipe": plan.recipe.model_dump(mode="json"),
    }


def read_earlier_search(folder: Path, plan: Plan, conditions: Conditions) -> EarlierSearch:
    """Read what an interrupted search left in a folder.

    Args:
        folder: of the search.
        plan: of the search that resumes it.
        conditions: under which it is resumed.

    Raises:
        RecordError: there is no search, or it had another plan or other conditions.
    """
    path = folder / TUNE
    record = read_model(path, TuneRecord, "tune")
    identity = plan_identity(plan)
    for name, value in record.about.items():
        if identity.get(name) != value:
            raise RecordError(
                f"{path}: its {name} differs from the present options; give the options of that "
                "search, or start a new one without --resume"
            )
    _check_conditions(path, record.conditions, conditions)
    trials = read_trials(folder) if (folder / TRIALS).exists() else []
    return EarlierSearch(tuple(trials), tuple(record.findings), record.seconds)


def _check_conditions(path: Path, earlier: Conditions | None, present: Conditions) -> None:
    if earlier is None:
        raise RecordError(
            f"{path}: written by an older version, which did not record photographs and machine; "
            "start a new search without --resume"
        )
    if changes := differences(earlier, present):
        raise RecordError(
            f"{path}: the search was started under other conditions: {changes}; restore them, or "
            "start a new search without --resume"
        )


def runners_up(record: TuneRecord) -> list[RunnerUp]:
    """Return the configurations that lost to the best or tied with it, the fastest first."""
    near = [
        RunnerUp(
            loader=finding.choice.loader,
            settings=finding.choice.settings,
            ratio=finding.ratio,
            tie=finding.outcome == "tie",
        )
        for finding in record.findings
        if finding.against == record.best and finding.ratio and finding.outcome in ("tie", "slower")
    ]
    return sorted(near, key=lambda runner_up: -runner_up.ratio.value)
