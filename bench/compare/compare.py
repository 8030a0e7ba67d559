"""Compares runs with the first of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.compare.conditions import (
    blocking,
    check_families,
    find_differences,
    unknown_conditions,
)
from feedbench.bench.compare.gate import judge
from feedbench.bench.compare.names import short_names
from feedbench.bench.compare.pairing import Candidate, candidates, decided, unpaired
from feedbench.bench.compare.relative import reference_name, relative_to
from feedbench.bench.compare.subject import Stall, Subject
from feedbench.bench.compare.subjects import read_subject
from feedbench.bench.compare.text import Unknown, with_texts
from feedbench.bench.errors import RecordError
from feedbench.bench.results.comparison import (
    ComparedRun,
    Comparison,
    Difference,
    StallChange,
    Topic,
    TrainingChange,
)
from feedbench.bench.training.compare import TrainingComparison, compare_training


def compare_runs(
    paths: Sequence[Path],
    limit: float | None = None,
    allowed: Collection[Topic] = frozenset(),
    reference: str | None = None,
) -> Comparison:
    """Compare runs with the first, the base.

    Args:
        paths: at least two folders or files with a record.
        limit: of `--fail-if-slower`, such as 0.05.
        allowed: topics in which the runs may differ although their rates then answer different
            questions.
        reference: compare rates as multiples of this loader's, see `relative_to`.

    Raises:
        PlanError: a run does not have the reference.
        RecordError: a record cannot be read, or the rates of two runs do not mean the same.
    """
    subjects = [read_subject(path) for path in paths]
    if reference is not None:
        reference = reference_name(subjects[0], reference)
        subjects = relative_to(subjects, reference)
    base, *others = subjects
    differences: list[Difference] = []
    pairs: list[Candidate] = []
    for run, other in enumerate(others, 1):
        check_families(base, other)
        found = find_differences(base, other, run, allowed)
        differences += found
        unknown = blocking(unknown_conditions(base, other), base, allowed)
        judged = not unknown and all(one.effect != "not judged" for one in found)
        pairs += candidates(base, other, run, judged=judged)
    runs = _runs(subjects, paths)
    names = [run.name for run in runs] if len(runs) > 2 else []
    comparison = Comparison(
        is_paired=False,
        relative_to=reference,
        runs=runs,
        differences=differences,
        pairs=decided(pairs),
        unpaired=[one for run, other in enumerate(others, 1) for one in unpaired(base, other, run)],
        stalls=_stalls(base, others),
        trainings=_trainings(base, others, allowed),
        gate=None if limit is None else judge(pairs, limit, names),
        verdict="",
    )
    busy = {run.name: one.busy for run, one in zip(runs, subjects, strict=True) if one.busy}
    return with_texts(comparison, _unknown(runs, subjects, allowed), busy)


def _unknown(
    runs: Sequence[ComparedRun], subjects: Sequence[Subject], allowed: Collection[Topic]
) -> list[Unknown]:
    """Return what the base or a run does not hold."""
    base, *others = subjects
    found = []
    for run, other in zip(runs[1:], others, strict=True):
        names = unknown_conditions(base, other)
        found.append(Unknown(run.name, names, blocking(names, base, allowed)))
    return [one for one in found if one.names]


def _runs(subjects: Sequence[Subject], paths: Sequence[Path]) -> list[ComparedRun]:
    return [
        ComparedRun(
            name=name,
            path=str(subject.path),
            command=subject.command,
            measured=subject.measured,
            winner=subject.winner,
        )
        for name, subject in zip(short_names(paths), subjects, strict=True)
    ]


def _stalls(base: Subject, others: Sequence[Subject]) -> list[StallChange]:
    return [
        _stall_change(run, base.stall, other.stall)
        for run, other in enumerate(others, 1)
        if base.stall is not None and other.stall is not None
    ]


def _stall_change(run: int, base: Stall, other: Stall) -> StallChange:
    both = None if base.share is None or other.share is None else (base.share, other.share)
    return StallChange(
        run=run,
        base=base.share,
        other=other.share,
        difference=None if both is None else _difference(*both),
        base_bottleneck=base.bottleneck,
        other_bottleneck=other.bottleneck,
    )


def _difference(base: Estimate, other: Estimate) -> Estimate:
    """Return another estimate minus that of the base; the two have no block in common.

    Source: as for `independent_ratio`, without logarithms.
    """
    value = other.value - base.value
    if base.interval is None or other.interval is None:
        return Estimate(value=value)
    (low, high), (least, most) = other.interval, base.interval
    below = ((other.value - low) ** 2 + (most - base.value) ** 2) ** 0.5
    above = ((high - other.value) ** 2 + (base.value - least) ** 2) ** 0.5
    return Estimate(value=value, low=value - below, high=value + above)


def _trainings(
    base: Subject, others: Sequence[Subject], allowed: Collection[Topic]
) -> list[TrainingChange]:
    return [
        _training_change(run, base, other, allowed)
        for run, other in enumerate(others, 1)
        if other.training is not None
    ]


def _training_change(
    run: int, base: Subject, other: Subject, allowed: Collection[Topic]
) -> TrainingChange:
    assert base.training is not None
    assert other.training is not None
    accuracy, reason = _accuracy(base.training.folder, other.training.folder, allowed)
    return TrainingChange(
        run=run,
        base_s=base.training.train_s,
        other_s=other.training.train_s,
        accuracy=accuracy,
        not_compared=reason,
    )


def _accuracy(
    first: Path, second: Path, allowed: Collection[Topic]
) -> tuple[TrainingComparison | None, str]:
    """Return the comparison by test image; None and the reason without predictions of both.

    Raises:
        RecordError: the test images differ, which is not allowed.
    """
    from feedbench.bench.training.predictions import PREDICTIONS

    for folder in (first, second):
        if not (folder / PREDICTIONS).is_file():
            return None, f"{folder} has no {PREDICTIONS}"
    try:
        return compare_training(first, second), ""
    except RecordError as error:
        if "data" not in allowed:
            raise
        return None, str(error)
