"""Reads the record of each kind and derives its figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from feedbench.bench.errors import RecordError
from feedbench.bench.results.kinds import (
    BatchSizesResult,
    BenchResult,
    ChecksResult,
    CompareResult,
    DerivedDiagnosisResult,
    DiagnosisResult,
    FitResult,
    LimitsResult,
    PixelsResult,
    PlanResult,
    ProfileResult,
    ScanResult,
    SelfTestResult,
    StudyResult,
    TrainingResult,
    TuneResult,
)

if TYPE_CHECKING:
    from feedbench.bench.record import Trial


def read_bench(path: Path) -> BenchResult | FitResult:
    """Read a trials.jsonl, of a bench or of a FitMonitor.

    Raises:
        RecordError: two trials are the same: blocks of two runs are not paired.
    """
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.trials_file import read_trials

    trials = read_trials(path.parent)
    if any(trial.consumer == "fit" for trial in trials):
        return read_fit(path.with_name("fit.json"))
    _check_distinct(trials, path)
    _check_printed(trials, path)
    return BenchResult(path, trials, summarize(trials))


def _check_distinct(trials: list[Trial], path: Path) -> None:
    from feedbench.bench.report.table import trial_name

    lines: dict[str, int] = {}
    for number, trial in enumerate(trials, 1):
        name = trial_name(trial)
        if lines.setdefault(name, number) != number:
            raise RecordError(
                f"{path}: lines {lines[name]} and {number} are both {name}; give the record of one "
                "bench, or the folder of a tune"
            )


def _check_printed(trials: list[Trial], path: Path) -> None:
    """Check that the batch spec of all trials has what is printed of it."""
    from feedbench.bench.described import PRINTED, check_fields

    try:
        for trial in trials:
            check_fields("spec", trial.spec, PRINTED)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error


def read_summary(path: Path) -> BenchResult:
    """Read the summary.json of a bench."""
    from feedbench.bench.analysis.summary import Summary
    from feedbench.bench.files import read_model

    return BenchResult(path, [], read_model(path, Summary, "bench"))


def read_fit(path: Path) -> FitResult:
    """Read a fit.json and the trials.jsonl beside it."""
    from feedbench.bench.monitor import record
    from feedbench.bench.trials_file import read_trials

    facts, trials = record.read_fit(path), read_trials(path.parent)
    return FitResult(path, facts, trials, record.figures(trials))


def read_limits(path: Path) -> LimitsResult:
    """Read a limits-record.json and the trials.jsonl beside it."""
    from feedbench.bench.limits import limits
    from feedbench.bench.trials_file import TRIALS, read_trials

    trials, record = read_trials(path.parent), limits.read_limits(path.parent)
    known = {limits.trial_name(trial) for trial in trials}
    for name in (*record.bounds, *record.bounds.values()):
        if name not in known:
            raise RecordError(f"{path}: bounds: there is no {name!r} in {TRIALS}")
    _check_printed(trials, path.with_name(TRIALS))
    return LimitsResult(path, trials, limits.derive(trials, record))


def read_derived_limits(path: Path) -> LimitsResult:
    """Read the record beside a limits.json; without one, what `limits --json` saved."""
    from feedbench.bench.files import read_model
    from feedbench.bench.limits.limits import RECORD, MachineLimits

    if (record := path.with_name(RECORD)).is_file():
        return read_limits(record)
    return LimitsResult(path, [], read_model(path, MachineLimits, "limits"))


def read_derived_diagnosis(path: Path) -> DiagnosisResult | DerivedDiagnosisResult:
    """Read the record beside a diagnosis.json; without one, what `diagnose --json` saved."""
    from feedbench.bench.diagnose.record import RECORD
    from feedbench.bench.diagnose.verdict import Diagnosis
    from feedbench.bench.files import read_model

    if (record := path.with_name(RECORD)).is_file():
        return read_diagnosis(record)
    return DerivedDiagnosisResult(path, read_model(path, Diagnosis, "diagnosis"))


def read_checks(path: Path) -> ChecksResult:
    """Read what `selftest --json` saved."""
    from feedbench.bench.diagnose.checks import SelfTest
    from feedbench.bench.files import read_model

    return ChecksResult(path, read_model(path, SelfTest, "self-test"))


def read_batch_sizes(path: Path) -> BatchSizesResult:
    """Read what `batch-size --json` saved."""
    from feedbench.bench.files import read_model
    from feedbench.bench.training.batch_size import BatchSizes

    return BatchSizesResult(path, read_model(path, BatchSizes, "batch sizes"))


def read_profile(path: Path) -> ProfileResult:
    """Read what `calibrate --json` saved."""
    from feedbench.bench.accelerator import Accelerator
    from feedbench.bench.files import read_model

    return ProfileResult(path, read_model(path, Accelerator, "profile"))


def read_plan(path: Path) -> PlanResult:
    """Read a plan.json."""
    from feedbench.bench.capacity.needs import CapacityPlan
    from feedbench.bench.files import read_model

    return PlanResult(path, read_model(path, CapacityPlan, "plan"))


def read_diagnosis(path: Path) -> DiagnosisResult:
    """Read a diagnosis-record.json."""
    from feedbench.bench.diagnose import record
    from feedbench.bench.diagnose.verdict import derive_diagnosis

    facts = record.read_diagnosis(path)
    return DiagnosisResult(path, facts, derive_diagnosis(facts))


def read_tune(path: Path) -> TuneResult:
    """Read a tune.json."""
    from feedbench.bench.described import check_plan
    from feedbench.bench.files import read_model
    from feedbench.bench.tune.record import TuneRecord

    record = read_model(path, TuneRecord, "tune")
    try:
        check_plan("about", record.about)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error
    return TuneResult(path, record)


def read_study(path: Path) -> StudyResult:
    """Read a study.json."""
    from feedbench.bench.files import read_model
    from feedbench.bench.study.report import StudyReport

    return StudyResult(path, read_model(path, StudyReport, "study"))


def read_training(path: Path) -> TrainingResult:
    """Read a training.json."""
    from feedbench.bench.training.folder import read_training

    return TrainingResult(path, read_training(path))


def read_unfinished_training(path: Path) -> TrainingResult:
    """Read the loader.toml of a training that was interrupted, and the files beside it."""
    from feedbench.bench.training.unfinished import read_unfinished

    values = read_unfinished(path)
    return TrainingResult(path, values)


def read_pixels(path: Path) -> PixelsResult:
    """Read a pixels.json."""
    from feedbench.bench.files import read_model
    from feedbench.bench.pixels.result import PixelComparison

    return PixelsResult(path, read_model(path, PixelComparison, "pixel check"))


def read_self_test(path: Path) -> SelfTestResult:
    """Read a selftest.json."""
    from feedbench.bench.files import read_model
    from feedbench.bench.selftest.report import BatteryResult

    return SelfTestResult(path, read_model(path, BatteryResult, "self-test"))


def read_comparison(path: Path) -> CompareResult:
    """Read a compare.json."""
    from feedbench.bench.files import read_model
    from feedbench.bench.results.comparison import SCHEMA_NUMBER, Comparison

    return CompareResult(path, read_model(path, Comparison, "comparison", SCHEMA_NUMBER))


def read_scan(path: Path) -> ScanResult:
    """Read a report of `scan --json`."""
    from feedbench.bench.data.scan_report import ScanReport
    from feedbench.bench.files import read_model

    return ScanResult(path, read_model(path, ScanReport, "scan").model_dump())
