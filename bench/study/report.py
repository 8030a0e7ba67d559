"""The results of a study: accuracy by value of each field, and which differences are real."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from feedbench.bench.analysis.estimate import Proportion
from feedbench.bench.analysis.stats import CONFIDENCE
from feedbench.bench.study.run import RUNS, failure_reason
from feedbench.bench.study.study import StudyRun
from feedbench.bench.training.folder import TRAINING
from feedbench.bench.training.predictions import read_predictions

Correct = dict[str, bool]  # path of a test image → whether it is classified correctly


class Difference(BaseModel):
    """A difference in accuracy from the first value of a field, over pairs of runs.

    The two runs of a pair have the same seed and the same values of all other fields.

    Attributes:
        pairs: number of pairs.
        value: mean difference.
        low, high: its interval, widened for the number of comparisons in the study; None with a
            single pair, or a single image, which cannot show how much seeds, or images, vary.
        p_value: p-value of the same t-test, not adjusted for the number of comparisons.
        real: whether the interval excludes 0.
    """

    pairs: int
    value: float
    low: float | None
    high: float | None
    p_value: float | None
    real: bool

    @property
    def estimate(self) -> Proportion | None:
        """The value with its interval; None without one."""
        if self.low is None or self.high is None:
            return None
        return Proportion(value=self.value, low=self.low, high=self.high)


class ValueResult(BaseModel):
    """The accuracy of all runs with one value of a field.

    Attributes:
        value: the value as JSON.
        accuracies: test accuracy of each run.
        mean: their mean, with its 95 % t-interval over runs; None without runs.
        difference: from the first value of the field; None for the first value.
    """

    value: str
    accuracies: list[float]
    mean: Proportion | None
    difference: Difference | None


class FieldResult(BaseModel):
    """The results for one field of the grid; its first value is the baseline.

    Attributes:
        field: its name in the recipe.
        values: the accuracy with each value.
    """

    field: str
    values: list[ValueResult]


class StudyReport(BaseModel):
    """The contents of `study.json`.

    Attributes:
        images: number of test images that all runs have.
        confidence: confidence level of each difference, such that all hold together with 95 %.
        effects: one result for each field of the grid.
        missing: number of runs that are not finished.
        failed: why runs failed, by the name of the run.
        text: one sentence for each difference.
    """

    images: int
    confidence: float
    effects: list[FieldResult]
    missing: int
    failed: dict[str, str]
    text: list[str]


def make_report(folder: Path, runs: Sequence[StudyRun]) -> StudyReport:
    """Compute the results of all runs that are finished so far.

    Raises:
        RecordError: the predictions of a run cannot be read.
    """
    failed = {run.name: reason for run in runs if (reason := failure_reason(folder, run))}
    done = {
        run.name: _read_correct(folder / RUNS / run.name)
        for run in runs
        if (folder / RUNS / run.name / TRAINING).exists()
    }
    fields = list(runs[0].cell)
    comparisons = sum(len({run.cell[field] for run in runs}) - 1 for field in fields)
    confidence = 1 - (1 - CONFIDENCE) / comparisons
    effects = [_field_result(field, runs, done, confidence) for field in fields]
    tested = [set(correct) for correct in done.values()]
    images = len(set.intersection(*tested)) if tested else 0
    return StudyReport(
        images=images,
        confidence=confidence,
        effects=effects,
        missing=len(runs) - len(done) - len(failed),
        failed=failed,
        text=[
            *_left_out(len(set().union(*tested)), images),
            *(line for effect in effects for line in _sentences(effect)),
        ],
    )


def _left_out(tested: int, images: int) -> list[str]:
    """Say if some runs have dropped test images that others have not."""
    if tested == images:
        return []
    return [f"{tested - images:,} of {tested:,} test images are not in all runs, and not compared"]


def _read_correct(folder: Path) -> Correct:
    return {path: prediction.correct for path, prediction in read_predictions(folder).items()}


def _field_result(
    field: str, runs: Sequence[StudyRun], done: dict[str, Correct], confidence: float
) -> FieldResult:
    by_value = _by_value_and_pair(field, runs, done)
    (first, *_) = by_value
    values = []
    for value, by_pair in by_value.items():
        accuracies = [_accuracy(correct) for correct in by_pair.values()]
        pairs = [
            (correct, by_value[first][pair])
            for pair, correct in by_pair.items()
            if pair in by_value[first]
        ]
        values.append(
            ValueResult(
                value=value,
                accuracies=accuracies,
                mean=_mean(accuracies),
                difference=None if value == first else mean_difference(pairs, confidence),
            )
        )
    return FieldResult(field=field, values=values)


def _by_value_and_pair(
    field: str, runs: Sequence[StudyRun], done: dict[str, Correct]
) -> dict[str, dict[str, Correct]]:
    """Group finished runs by their value of a field, then by seed and all other fields.

    Values without a finished run are included. The first value of the grid comes first.
    """
    groups: dict[str, dict[str, Correct]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: run.name):
        group = groups[run.cell[field]]
        if run.name in done:
            others = [f"{name}={value}" for name, value in run.cell.items() if name != field]
            group[f"seed {run.seed} {' '.join(others)}"] = done[run.name]
    return groups


def _accuracy(correct: Correct) -> float:
    return sum(correct.values()) / len(correct)


def _mean(accuracies: list[float]) -> Proportion | None:
    if not accuracies:
        return None
    mean = float(np.mean(accuracies))
    if len(accuracies) < 2:
        return Proportion(value=mean, low=0.0, high=1.0)
    standard_error = float(np.std(accuracies, ddof=1)) / math.sqrt(len(accuracies))
    half_width = _t_quantile(CONFIDENCE, len(accuracies) - 1) * standard_error
    return Proportion(value=mean, low=max(0.0, mean - half_width), high=min(1.0, mean + half_width))


def _t_quantile(confidence: float, degrees_of_freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, degrees_of_freedom))


def mean_difference(
    pairs: Sequence[tuple[Correct, Correct]], confidence: float
) -> Difference | None:
    """Return the mean difference in accuracy over pairs of runs; None without pairs.

    The interval accounts for two kinds of chance: trainings vary with the seed, and the test
    images are a sample. The variances of the two means are added, and t has one degree of freedom
    less than there are pairs.
    """
    tested = [set(correct) for pair in pairs for correct in pair]
    paths = sorted(set.intersection(*tested)) if tested else []  # a run may have dropped some
    if not paths:
        return None
    differences = np.array(
        [[first[path] - second[path] for path in paths] for first, second in pairs], float
    )
    value, count = float(differences.mean()), len(pairs)
    if count < 2 or len(paths) < 2:
        return Difference(pairs=count, value=value, low=None, high=None, p_value=None, real=False)
    over_seeds = differences.mean(1).var(ddof=1) / count
    over_images = differences.mean(0).var(ddof=1) / len(paths)
    standard_error = math.sqrt(over_seeds + over_images)
    half_width = _t_quantile(confidence, count - 1) * standard_error
    return Difference(
        pairs=count,
        value=value,
        low=value - half_width,
        high=value + half_width,
        p_value=_p_value(value, standard_error, count - 1),
        real=abs(value) > half_width,
    )


def _p_value(value: float, standard_error: float, degrees_of_freedom: int) -> float:
    from scipy.stats import t

    if not standard_error:
        return 0.0 if value else 1.0
    return float(2 * t.sf(abs(value) / standard_error, degrees_of_freedom))


def _sentences(effect: FieldResult) -> list[str]:
    first = effect.values[0].value
    return [
        f"{effect.field} {value.value} compared with {first}: {_verdict(value.difference)}"
        for value in effect.values[1:]
        if value.difference is not None
    ]


def _verdict(difference: Difference) -> str:
    if difference.estimate is None:
        few, more = ("pair", "seeds") if difference.pairs == 1 else ("image", "test images")
        return f"{difference.value:+.1%} in one {few}: cannot tell; use more {more}"
    verdict = "cannot tell"
    if difference.real:
        verdict = "really better" if difference.value > 0 else "really worse"
    return f"{difference.estimate:+.1%} over {difference.pairs} pairs: {verdict}"
