"""What can be compared of each kind of result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from feedbench.bench.compare.from_diagnosis import of_diagnosis
from feedbench.bench.compare.from_training import of_training
from feedbench.bench.compare.from_trials import of_bench, of_fit, of_limits, of_tune
from feedbench.bench.compare.subject import Subject
from feedbench.bench.errors import RecordError
from feedbench.bench.results import kinds
from feedbench.bench.results.find import find_record

_SUBJECTS: dict[type, Callable[[Any], Subject]] = {
    kinds.BenchResult: of_bench,
    kinds.FitResult: of_fit,
    kinds.LimitsResult: of_limits,
    kinds.TuneResult: of_tune,
    kinds.DiagnosisResult: of_diagnosis,
    kinds.TrainingResult: of_training,
}


def subject_of(result: Any) -> Subject | None:
    """Return what can be compared of a result; None if its kind has no rates."""
    make = _SUBJECTS.get(type(result))
    return None if make is None else make(result)


def read_subject(path: Path) -> Subject:
    """Read the record in a folder or file.

    Raises:
        RecordError: there is no record, it is not valid, or it holds nothing to compare.
    """
    file, kind = find_record(path)
    subject = subject_of(kind.read(file))
    if subject is None:
        raise RecordError(
            f"{file}: a record of {kind.command} holds no rates to compare; give one of bench, "
            "tune, limits, diagnose, train or FitMonitor"
        )
    return subject
