"""What a study found: accuracy by value of each field, and whether differences are real."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from feedbench.bench.analysis.estimate import Proportion
from feedbench.bench.analysis.stats import CONFIDENCE
from feedbench.bench.study.run import RUNS, failure
from feedbench.bench.study.study import Run
from feedbench.bench.training.folder import TRAINING
from feedbench.bench.training.predictions import read_predictions

Rights = dict[str, bool]  # by the path of a test image, whether it was told rightly


class Difference(BaseModel):
    """Accuracy less that of the field's first value, over pairs of equal seed and other fields.

    Attributes:
        low, high: the interval, widened where the study makes several comparisons; None with one
            pair, which says nothing of how seeds spread.
        p_value: of the same t-test.
        real: whether the interval leaves 0 out.
    """

    pairs: int
    value: float
    low: float | None
    high: float | None
    p_value: float | None
    real: bool

    @property
    def estimate(self) -> Proportion | None:
        """The value with its interval; None with one pair."""
        if self.low is None or self.high is None:
            return None
        return Proportion(value=self.value, low=self.low, high=self.high)


class Value(BaseModel):
    """One value of a field.

    Attributes:
        value: as JSON text.
        accuracies: on the test images, one a run.
        mean: their mean, with its 95 % t-interval over runs; None without a run.
    """

    value: str
    accuracies: list[float]
    mean: Proportion | None
    difference: Difference | None


class Effect(BaseModel):
    """What a field of the grid did."""

    field: str
    values: list[Value]


class Report(BaseModel):
    """What `study.json` holds.

    Attributes:
        confidence: of each difference, so that all together hold with 95 %.
        missing: runs that are not done.
        failed: why runs failed, by their names.
    """

    images: int
    confidence: float
    effects: list[Effect]
    missing: int
    failed: dict[str, str]
    text: list[str]


def report_of(folder: Path, runs: Sequence[Run]) -> Report:
    """What is known so far.

    Raises:
        RecordError: a run's predictions cannot be read.
    """
    failed = {run.name: said for run in runs if (said := failure(folder, run))}
    done = {
        run.name: _rights(folder / RUNS / run.name)
        for run in runs
        if (folder / RUNS / run.name / TRAINING).exists()
    }
    fields = list(runs[0].cell)
    comparisons = sum(len({run.cell[field] for run in runs}) - 1 for field in fields)
    confidence = 1 - (1 - CONFIDENCE) / comparisons
    effects = [_effect(field, runs, done, confidence) for field in fields]
    return Report(
        images=len(next(iter(done.values()), {})),
        confidence=confidence,
        effects=effects,
        missing=len(runs) - len(done) - len(failed),
        failed=failed,
        text=[line for effect in effects for line in _sentences(effect)],
    )


def _rights(home: Path) -> Rights:
    return {path: said.right for path, said in read_predictions(home).items()}


def _effect(field: str, runs: Sequence[Run], done: dict[str, Rights], confidence: float) -> Effect:
    by_value: dict[str, dict[str, Rights]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: run.name):
        others = [f"{name}={value}" for name, value in run.cell.items() if name != field]
        known = by_value[run.cell[field]]
        if run.name in done:
            known[f"seed {run.seed} {' '.join(others)}"] = done[run.name]
    (first, *_) = by_value
    return Effect(
        field=field,
        values=[
            Value(
                value=value,
                accuracies=[_accuracy(rights) for rights in known.values()],
                mean=_mean([_accuracy(rights) for rights in known.values()]),
                difference=None
                if value == first
                else difference(
                    [(known[key], by_value[first][key]) for key in known if key in by_value[first]],
                    confidence,
                ),
            )
            for value, known in by_value.items()
        ],
    )


def _accuracy(rights: Rights) -> float:
    return sum(rights.values()) / len(rights)


def _mean(accuracies: list[float]) -> Proportion | None:
    if not accuracies:
        return None
    mean = float(np.mean(accuracies))
    if len(accuracies) < 2:
        return Proportion(value=mean, low=0.0, high=1.0)
    error = float(np.std(accuracies, ddof=1)) / math.sqrt(len(accuracies))
    reach = _quantile(CONFIDENCE, len(accuracies) - 1) * error
    return Proportion(value=mean, low=max(0.0, mean - reach), high=min(1.0, mean + reach))


def _quantile(confidence: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, freedom))


def difference(pairs: Sequence[tuple[Rights, Rights]], confidence: float) -> Difference | None:
    """Mean of the paired differences, and the interval that seeds and test images leave.

    Seeds spread because training is chance, images because the test set is a sample: the variances
    of both means are added, and t has as many degrees of freedom as there are pairs, less one.
    """
    if not pairs:
        return None
    paths = sorted(pairs[0][0])
    apart = np.array([[one[path] - other[path] for path in paths] for one, other in pairs], float)
    value, count = float(apart.mean()), len(pairs)
    if count < 2:
        return Difference(pairs=1, value=value, low=None, high=None, p_value=None, real=False)
    variance = apart.mean(1).var(ddof=1) / count + apart.mean(0).var(ddof=1) / len(paths)
    error = math.sqrt(variance)
    reach = _quantile(confidence, count - 1) * error
    return Difference(
        pairs=count,
        value=value,
        low=value - reach,
        high=value + reach,
        p_value=_p_value(value, error, count - 1),
        real=abs(value) > reach,
    )


def _p_value(value: float, error: float, freedom: int) -> float:
    from scipy.stats import t

    if not error:
        return 0.0 if value else 1.0
    return float(2 * t.sf(abs(value) / error, freedom))


def _sentences(effect: Effect) -> list[str]:
    first = effect.values[0].value
    return [
        f"{effect.field} {value.value} against {first}: {_told(value.difference)}"
        for value in effect.values[1:]
        if value.difference is not None
    ]


def _told(found: Difference) -> str:
    if found.estimate is None:
        return f"{found.value:+.1%} in one pair: cannot tell, give more seeds"
    verdict = "cannot tell"
    if found.real:
        verdict = "really better" if found.value > 0 else "really worse"
    return f"{found.estimate:+.1%} over {found.pairs} pairs: {verdict}"
