"""The result of each kind of run: its record, and what is derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feedbench.bench.analysis.summary import Summary
    from feedbench.bench.diagnose.record import DiagnosisRecord
    from feedbench.bench.diagnose.selftest import SelfTest
    from feedbench.bench.diagnose.verdict import Diagnosis
    from feedbench.bench.limits.limits import MachineLimits
    from feedbench.bench.monitor.record import FitFigures, FitRecord
    from feedbench.bench.pixels.result import PixelComparison
    from feedbench.bench.plan.accelerators import Accelerator
    from feedbench.bench.record import Trial
    from feedbench.bench.results.comparison import Comparison
    from feedbench.bench.selftest.report import BatteryResult
    from feedbench.bench.study.report import StudyReport
    from feedbench.bench.training.batch_size import BatchSizes
    from feedbench.bench.tune.record import TuneRecord


@dataclass(frozen=True)
class BenchResult:
    """A bench; `trials` is empty if only its summary was saved."""

    path: Path
    trials: list[Trial]
    summary: Summary

    @property
    def is_measured(self) -> bool:
        """Whether anything could be measured."""
        return self.summary.winner is not None

    @property
    def values(self) -> Any:
        """The derived figures as JSON-compatible values."""
        return self.summary.model_dump()


@dataclass(frozen=True)
class FitResult:
    """What a FitMonitor recorded; `figures` is None if no block was timed."""

    path: Path
    record: FitRecord
    trials: list[Trial]
    figures: FitFigures | None

    @property
    def is_measured(self) -> bool:
        """Whether anything could be measured."""
        return self.figures is not None

    @property
    def values(self) -> Any:
        """The record and its figures as JSON-compatible values."""
        figures = None if self.figures is None else self.figures.model_dump()
        return self.record.model_dump() | {"figures": figures}


@dataclass(frozen=True)
class LimitsResult:
    """The limits of a machine."""

    path: Path
    trials: list[Trial]
    limits: MachineLimits

    @property
    def is_measured(self) -> bool:
        """Whether anything could be measured."""
        return any(loader.images_per_second for loader in self.limits.loaders)

    @property
    def values(self) -> Any:
        """The derived figures as JSON-compatible values."""
        return self.limits.model_dump()


@dataclass(frozen=True)
class DiagnosisResult:
    """A diagnosis."""

    path: Path
    record: DiagnosisRecord
    diagnosis: Diagnosis

    @property
    def is_measured(self) -> bool:
        """Whether anything could be measured."""
        return self.diagnosis.bottleneck is not None

    @property
    def values(self) -> Any:
        """The derived figures as JSON-compatible values."""
        return self.diagnosis.model_dump()


@dataclass(frozen=True)
class DerivedDiagnosisResult:
    """What `diagnose --json` saved: the figures of a diagnosis without its record."""

    path: Path
    diagnosis: Diagnosis

    @property
    def is_measured(self) -> bool:
        """Whether anything could be measured."""
        return self.diagnosis.bottleneck is not None

    @property
    def values(self) -> Any:
        """The derived figures as JSON-compatible values."""
        return self.diagnosis.model_dump()


@dataclass(frozen=True)
class TuneResult:
    """A search for settings."""

    path: Path
    record: TuneRecord

    @property
    def is_measured(self) -> bool:
        """Whether anything could be measured."""
        return self.record.best is not None

    @property
    def values(self) -> Any:
        """The record as JSON-compatible values."""
        return self.record.model_dump(mode="json")


@dataclass(frozen=True)
class StudyResult:
    """A grid of trainings."""

    path: Path
    report: StudyReport

    @property
    def is_measured(self) -> bool:
        """Whether anything could be measured."""
        return self.report.images > 0

    @property
    def values(self) -> Any:
        """The report as JSON-compatible values."""
        return self.report.model_dump()


@dataclass(frozen=True)
class TrainingResult:
    """A training; `values` is its training.json, or the same of one that is not finished."""

    path: Path
    values: dict[str, Any]
    is_measured: bool = True


@dataclass(frozen=True)
class PixelsResult:
    """A comparison of the loaders' pixels."""

    path: Path
    comparison: PixelComparison
    is_measured: bool = True

    @property
    def values(self) -> Any:
        """The comparison as JSON-compatible values."""
        return self.comparison.model_dump()


@dataclass(frozen=True)
class ScanResult:
    """What a scan found; `values` is the report that `scan --json` writes."""

    path: Path
    values: dict[str, Any]
    is_measured: bool = True


@dataclass(frozen=True)
class SelfTestResult:
    """The self-test in full."""

    path: Path
    battery: BatteryResult
    is_measured: bool = True

    @property
    def values(self) -> Any:
        """The results of all cases as JSON-compatible values."""
        return self.battery.model_dump()


@dataclass(frozen=True)
class CompareResult:
    """A comparison of runs."""

    path: Path
    comparison: Comparison

    @property
    def is_measured(self) -> bool:
        """Whether anything could be compared."""
        return any(pair.reads_images for pair in self.comparison.pairs)

    @property
    def values(self) -> Any:
        """The comparison as JSON-compatible values."""
        return self.comparison.model_dump(mode="json")


@dataclass(frozen=True)
class ChecksResult:
    """The checks of a self-test against known delays, counts and bottlenecks."""

    path: Path
    self_test: SelfTest
    is_measured: bool = True

    @property
    def values(self) -> Any:
        """The checks as JSON-compatible values."""
        return self.self_test.model_dump()


@dataclass(frozen=True)
class BatchSizesResult:
    """The batch sizes that were tried."""

    path: Path
    sizes: BatchSizes

    @property
    def is_measured(self) -> bool:
        """Whether a size fits."""
        return self.sizes.largest is not None

    @property
    def values(self) -> Any:
        """The results as JSON-compatible values."""
        return self.sizes.model_dump()


@dataclass(frozen=True)
class ProfileResult:
    """The profile of an accelerator."""

    path: Path
    profile: Accelerator
    is_measured: bool = True

    @property
    def values(self) -> Any:
        """The profile as JSON-compatible values."""
        return self.profile.model_dump()


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
)
