"""What is printed of each kind of result, as lines and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from feedbench.bench.results import kinds

if TYPE_CHECKING:
    from feedbench.bench.report.document import Part


def parts_of(result: kinds.Result) -> Iterable[Part]:
    """Return what is printed of a result; its main table is the first."""
    return _PARTS[type(result)](result)


def _bench(result: kinds.BenchResult) -> Iterable[Part]:
    from feedbench.bench.report.summary_text import parts

    return parts(result.trials, result.summary)


def _fit(result: kinds.FitResult) -> Iterable[Part]:
    from feedbench.bench.monitor.table import parts

    return parts(result.record, result.trials, result.figures)


def _limits(result: kinds.LimitsResult) -> Iterable[Part]:
    from feedbench.bench.limits.table import parts

    return parts(result.trials, result.limits)


def _diagnosis(result: kinds.DiagnosisResult) -> Iterable[Part]:
    from feedbench.bench.diagnose.table import parts

    return parts(result.record, result.diagnosis)


def _derived_diagnosis(result: kinds.DerivedDiagnosisResult) -> Iterable[Part]:
    from feedbench.bench.diagnose.table import derived_parts

    return derived_parts(result.diagnosis)


def _tune(result: kinds.TuneResult) -> Iterable[Part]:
    from feedbench.bench.tune.table import parts

    return parts(result.record)


def _study(result: kinds.StudyResult) -> Iterable[Part]:
    from feedbench.bench.study.table import parts

    return parts(result.report)


def _training(result: kinds.TrainingResult) -> Iterable[Part]:
    from feedbench.bench.training.table import parts

    return parts(result.values)


def _pixels(result: kinds.PixelsResult) -> Iterable[Part]:
    from feedbench.bench.pixels.table import parts

    return parts(result.comparison)


def _comparison(result: kinds.CompareResult) -> Iterable[Part]:
    from feedbench.bench.results.comparison_table import parts

    return parts(result.comparison)


def _scan(result: kinds.ScanResult) -> Iterable[Part]:
    from feedbench.bench.data.scan_table import parts

    return parts(result.values)


def _self_test(result: kinds.SelfTestResult) -> Iterable[Part]:
    from feedbench.bench.selftest.table import parts

    return parts(result.battery)


def _checks(result: kinds.ChecksResult) -> Iterable[Part]:
    from feedbench.bench.diagnose.selftest_table import parts

    return parts(result.self_test)


def _batch_sizes(result: kinds.BatchSizesResult) -> Iterable[Part]:
    from feedbench.bench.training.batch_size_table import parts

    return parts(result.sizes)


def _profile(result: kinds.ProfileResult) -> Iterable[Part]:
    from feedbench.bench.report.profiles import profiles_table

    return [profiles_table({result.path.stem: result.profile})]


_PARTS: dict[type, Callable[[Any], Iterable[Part]]] = {
    kinds.BenchResult: _bench,
    kinds.FitResult: _fit,
    kinds.LimitsResult: _limits,
    kinds.DiagnosisResult: _diagnosis,
    kinds.DerivedDiagnosisResult: _derived_diagnosis,
    kinds.TuneResult: _tune,
    kinds.StudyResult: _study,
    kinds.TrainingResult: _training,
    kinds.PixelsResult: _pixels,
    kinds.CompareResult: _comparison,
    kinds.ScanResult: _scan,
    kinds.SelfTestResult: _self_test,
    kinds.ChecksResult: _checks,
    kinds.BatchSizesResult: _batch_sizes,
    kinds.ProfileResult: _profile,
}
