"""What a comparison of runs holds, as stored in compare.json."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from feedbench.bench.analysis.estimate import Estimate, Positive
from feedbench.bench.training.compare import TrainingComparison

# The format, by `schema_number`.
# 1  The first.
SCHEMA_NUMBER = 1
COMPARISON = "compare.json"

Outcome = Literal["faster", "slower", "same within 3 %", "cannot tell"]
Topic = Literal[
    "consumer", "data", "batches", "recipe", "cache", "machine", "versions", "loader", "code"
]
Effect = Literal["marked", "not judged", "allowed"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ComparedRun(_Model):
    """One of the runs.

    Attributes:
        name: short, and different for each run of the comparison.
        path: of its record.
        command: that wrote the record, such as `bench`.
        measured: what was measured, in one line.
        winner: loader and settings that the run chose; None if it chooses none.
    """

    name: str
    path: str
    command: str
    measured: str
    winner: str | None = None


class Difference(_Model):
    """A condition in which a run differs from the base.

    Attributes:
        run: index of the run in `Comparison.runs`.
        topic: what kind of condition it is.
        name: of the condition, such as `tensorflow`.
        base: its value in the base.
        other: its value in the run.
        effect: "not judged": no rate of this run counts for `--fail-if-slower`; "allowed": it
            counts, since `--allow-different` names the topic.
    """

    run: int
    topic: Topic
    name: str
    base: str
    other: str
    effect: Effect = "marked"


class RatePair(_Model):
    """A rate of a run, and the rate of the base that it is compared with, in images per second.

    Attributes:
        run: index of the run in `Comparison.runs`.
        name: loader and settings, or the part of a diagnosis.
        base_name: what it is compared with; the same name, unless two choices are compared.
        base: rate of the base.
        other: rate of the run; None if it has none.
        blocks: number of blocks of the base and of the run, or of pairs if they are paired.
        ratio: rate ÷ rate of the base; None if a rate is missing.
        outcome: decided for all pairs of the comparison together.
        is_judged: whether it counts for `--fail-if-slower`.
        reads_images: False for what shows the speed of the machine, such as `synthetic`.
        differs: what else differs, such as the digest of a user's file.
        error: why the run has no rate.
    """

    run: int
    name: str
    base_name: str
    base: Positive
    other: Positive | None
    blocks: tuple[int, int]
    ratio: Positive | None
    outcome: Outcome
    is_judged: bool = True
    reads_images: bool = True
    differs: list[str] = []
    error: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the run could not measure it."""
        return self.error is not None and self.ratio is None


class Unpaired(_Model):
    """A rate that only one of two runs has.

    Attributes:
        run: index of the run that is compared with the base.
        name: as of a pair.
        is_in_base: whether the base has it; otherwise the run.
        images_per_second: its rate.
    """

    run: int
    name: str
    is_in_base: bool
    images_per_second: Positive | None


class StallChange(_Model):
    """The stall and the bottleneck of two diagnoses.

    Attributes:
        run: index of the run in `Comparison.runs`.
        base: share of the accelerator's time that is lost; None without a verdict.
        other: the same of the run.
        difference: stall of the run minus that of the base.
        base_bottleneck: cause of most of the stall; None without a verdict.
        other_bottleneck: the same of the run.
    """

    run: int
    base: Estimate | None
    other: Estimate | None
    difference: Estimate | None
    base_bottleneck: str | None
    other_bottleneck: str | None


class TrainingChange(_Model):
    """Two trainings.

    Attributes:
        run: index of the run in `Comparison.runs`.
        base_s: seconds of all epochs, validation not counted.
        other_s: the same of the run.
        accuracy: accuracy and recall on the same test images; None if they cannot be paired.
        not_compared: why the accuracy is not compared; empty if it is.
    """

    run: int
    base_s: float
    other_s: float
    accuracy: TrainingComparison | None
    not_compared: str = ""


class Gate(_Model):
    """The result of `--fail-if-slower`.

    Attributes:
        limit: 0.05 for 5 %.
        failed: names of the rates that are certainly slower than that, or could not be measured,
            after the name of the run if there are several.
        open: names of the rates for which this cannot be told.
        judged: number of rates that count.
        not_judged: number of rates that do not.
        text: the same as a sentence.
    """

    limit: float
    failed: list[str]
    open: list[str]
    judged: int
    not_judged: int
    text: str

    @property
    def has_failed(self) -> bool:
        """Whether the command ends with the exit code for slower runs."""
        return bool(self.failed)


class Comparison(_Model):
    """Runs compared with the first of them, the base.

    Attributes:
        is_paired: whether the rates were measured in the same rounds of one run, so that drift
            cancels.
        relative_to: the loader by whose rate of the same round each rate was divided before the
            ratios were taken; None if they are ratios of the rates themselves.
        runs: the base first.
        differences: conditions in which runs differ from the base.
        pairs: rates of the same loader and settings, or of the same part.
        unpaired: rates that only one of two runs has.
        stalls: of diagnoses.
        trainings: of trainings.
        gate: None without `--fail-if-slower`.
        notes: what to know when reading the ratios, one sentence each.
        verdict: the result in one sentence.
    """

    schema_number: int = SCHEMA_NUMBER
    is_paired: bool
    relative_to: str | None = None
    runs: list[ComparedRun] = Field(min_length=1)
    differences: list[Difference] = []
    pairs: list[RatePair] = []
    unpaired: list[Unpaired] = []
    stalls: list[StallChange] = []
    trainings: list[TrainingChange] = []
    notes: list[str] = []
    gate: Gate | None = None
    verdict: str

    @model_validator(mode="after")
    def _has_the_runs_that_it_names(self) -> Self:
        named = [
            *(one.run for one in self.differences),
            *(one.run for one in self.pairs),
            *(one.run for one in self.unpaired),
            *(one.run for one in self.stalls),
            *(one.run for one in self.trainings),
        ]
        if wrong := [run for run in named if not 0 <= run < len(self.runs)]:
            raise ValueError(f"run: must be 0 to {len(self.runs) - 1}, got {wrong[0]}")
        return self
