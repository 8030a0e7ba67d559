"""What a report says: one file per kind of record turns a result into the parts of a page."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from feedbench.bench.html.parts import Report
from feedbench.bench.results import kinds
from feedbench.bench.results.kinds import Result

_MODULES: dict[type, str] = {
    kinds.BenchResult: "bench",
    kinds.CompareResult: "compare",
    kinds.DiagnosisResult: "diagnose",
    kinds.FitResult: "fit",
    kinds.LimitsResult: "limits",
    kinds.PixelsResult: "pixels",
    kinds.ScanResult: "scan",
    kinds.SelfTestResult: "selftest",
    kinds.StudyResult: "study",
    kinds.TrainingResult: "train",
    kinds.TuneResult: "tune",
}


def report_of(result: Result) -> Report:
    """Return what a page says about a result of any kind."""
    name = _MODULES[type(result)]
    module: Any = import_module(f"{__name__}.{name}")
    build: Callable[[Result], Report] = getattr(module, f"report_of_{name}")
    return build(result)
