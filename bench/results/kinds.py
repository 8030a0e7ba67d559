"""The result of each kind of run: its record, and what is derived from it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feedbench.bench.accelerator import Accelerator
    from feedbench.bench.analysis.summary import Summary
    from feedbench.bench.capacity.needs import CapacityPlan
    from feedbench.bench.diagnose.checks import SelfTest
    from feedbench.bench.diagnose.record import DiagnosisRecord
    from feedbench.bench.diagnose.verdict import Diagnosis
    from feedbench.bench.limits.limits import MachineLimits
    from feedbench.bench.monitor.record import FitFigures, FitRecord
    from feedbench.bench.pixels.result import PixelComparison
    from feedbench.bench.record import Trial
    from feedbench.bench.results.comparison import Comparison
    from feedbench.bench.selftest.report import BatteryResult
    from feedbench.bench.study.report import StudyReport
    from feedbench.bench.training.batch_size import BatchSizes
    from feedbench.bench.tune.record import TuneRecord


@dataclass(frozen=True)
class _Read:
    """What was read from a file."""

    path: Path

    @property
    def is_measured(self) -> bool:
        """Whether anything could be measured."""
        return True


@dataclass(frozen=True)
class _Derived(_Read):
    """A result whose figures are a model, in its last field."""

    @property
    def values(self) -> Any:
        """The figures as JSON-compatible values."""
        return getattr(self, fields(self)[-1].name).model_dump(mode="json")


@dataclass(frozen=True)
class BenchResult(_Derived):
    """A bench; `trials` is empty if only its summary was saved."""

    trials: list[Trial]
    summary: Summary

    @property
    def is_measured(self) -> bool:
        """Whether a loader was chosen."""
        return self.summary.winner is not None


@dataclass(frozen=True)
class FitResult(_Read):
    """What a FitMonitor recorded; `figures` is None if no block was timed."""

    record: FitRecord
    trials: list[Trial]
    figures: FitFigures | None

    @property
    def is_measured(self) -> bool:
        """Whether a block was timed."""
        return self.figures is not None

    @property
    def values(self) -> Any:
        """The record and its figures as JSON-compatible values."""
        figures = None if self.figures is None else self.figures.model_dump()
        return self.record.model_dump() | {"figures": figures}


@dataclass(frozen=True)
class LimitsResult(_Derived):
    """The limits of a machine; `trials` is empty if only the limits were saved."""

    trials: list[Trial]
    limits: MachineLimits

    @property
    def is_measured(self) -> bool:
        """Whether a loader was timed."""
        return any(loader.images_per_second for loader in self.limits.loaders)


@dataclass(frozen=True)
class DerivedDiagnosisResult(_Derived):
    """What `diagnose --json` saved: the figures of a diagnosis without its record."""

    diagnosis: Diagnosis

    @property
    def is_measured(self) -> bool:
        """Whether a bottleneck was found."""
        return self.diagnosis.bottleneck is not None


@dataclass(frozen=True)
class DiagnosisResult(_Derived):
    """A diagnosis."""

    record: DiagnosisRecord
    diagnosis: Diagnosis

    @property
    def is_measured(self) -> bool:
        """Whether a bottleneck was found."""
        return self.diagnosis.bottleneck is not None


@dataclass(frozen=True)
class TuneResult(_Derived):
    """A search for settings."""

    record: TuneRecord

    @property
    def is_measured(self) -> bool:
        """Whether a configuration was chosen."""
        return self.record.best is not None


@dataclass(frozen=True)
class StudyResult(_Derived):
    """A grid of trainings."""

    report: StudyReport

    @property
    def is_measured(self) -> bool:
        """Whether a training has ended."""
        return self.report.images > 0


@dataclass(frozen=True)
class TrainingResult(_Read):
    """A training; `values` is its training.json, or the same of one that is not finished."""

    values: dict[str, Any]

    @property
    def is_measured(self) -> bool:
        """Whether an epoch has ended."""
        return bool(self.values["epochs"])


@dataclass(frozen=True)
class PixelsResult(_Derived):
    """A comparison of the loaders' pixels."""

    comparison: PixelComparison


@dataclass(frozen=True)
class ScanResult(_Read):
    """What a scan found; `values` is the report that `scan --json` writes."""

    values: dict[str, Any]


@dataclass(frozen=True)
class SelfTestResult(_Derived):
    """The self-test in full."""

    battery: BatteryResult


@dataclass(frozen=True)
class CompareResult(_Derived):
    """A comparison of runs."""

    comparison: Comparison

    @property
    def is_measured(self) -> bool:
        """Whether anything could be compared."""
        return any(pair.reads_images for pair in self.comparison.pairs)


@dataclass(frozen=True)
class ChecksResult(_Derived):
    """The checks of a self-test against known delays, counts and bottlenecks."""

    self_test: SelfTest


@dataclass(frozen=True)
class BatchSizesResult(_Derived):
    """The batch sizes that were tried."""

    sizes: BatchSizes

    @property
    def is_measured(self) -> bool:
        """Whether a size fits."""
        return self.sizes.largest is not None


@dataclass(frozen=True)
class ProfileResult(_Derived):
    """The profile of an accelerator."""

    profile: Accelerator


@dataclass(frozen=True)
class PlanResult(_Derived):
    """What a larger target needs."""

    plan: CapacityPlan


Result = (
    BenchResult
    | FitResult
    | LimitsResult
    | DiagnosisResult
    | DerivedDiagnosisResult
    | TuneResult
    | StudyResult
    | TrainingResult
    | PixelsResult
    | ScanResult
    | SelfTestResult
    | CompareResult
    | ChecksResult
    | BatchSizesResult
    | ProfileResult
    | PlanResult
)
