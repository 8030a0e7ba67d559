"""What is printed of each kind of result, as lines and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from feedbench.bench.results import kinds

if TYPE_CHECKING:
    from feedbench.bench.report.document import Part

# What makes the parts of each kind, from the fields of the result after its path: `parts` of a
# module, or another function.
_MODULES: dict[type, str] = {
    kinds.BenchResult: "report.summary_text",
    kinds.FitResult: "monitor.table",
    kinds.LimitsResult: "limits.table",
    kinds.DiagnosisResult: "diagnose.table",
    kinds.DerivedDiagnosisResult: "diagnose.table:derived_parts",
    kinds.TuneResult: "tune.table",
    kinds.StudyResult: "study.table",
    kinds.TrainingResult: "training.table",
    kinds.PixelsResult: "pixels.table",
    kinds.CompareResult: "results.comparison_table",
    kinds.ScanResult: "data.scan_table",
    kinds.SelfTestResult: "selftest.table",
    kinds.ChecksResult: "diagnose.selftest_table",
    kinds.BatchSizesResult: "training.batch_size_table",
    kinds.PlanResult: "capacity.table",
}


def parts_of(result: kinds.Result) -> Iterable[Part]:
    """Return what is printed of a result; its main table is the first."""
    if isinstance(result, kinds.ProfileResult):
        return _profile_parts(result)
    name, _, function = _MODULES[type(result)].partition(":")
    module = import_module(f"feedbench.bench.{name}")
    parts: Callable[..., Iterable[Part]] = getattr(module, function or "parts")
    return parts(*(value for field, value in vars(result).items() if field != "path"))


def _profile_parts(result: kinds.ProfileResult) -> Iterable[Part]:
    from feedbench.bench.report.profiles import profiles_table

    return [profiles_table({result.path.stem: result.profile})]
