"""What a report says: one file per kind of record turns a result into the parts of a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

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


# Results without charts, and the command that wrote them.
_PLAIN: dict[type, str] = {
    kinds.BatchSizesResult: "batch-size",
    kinds.ChecksResult: "selftest",
    kinds.DerivedDiagnosisResult: "diagnose --json",
    kinds.PlanResult: "plan",
    kinds.ProfileResult: "calibrate",
}


def report_at(path: Path, *, is_alone: bool = True) -> Report:
    """Return what a page says about the record, or about the history, at a path.

    Args:
        is_alone: whether the page has no other report to tell it apart from.

    Raises:
        RecordError: there is none, or it cannot be read.
    """
    from feedbench.bench.html.kinds.history import is_history, report_of_history
    from feedbench.bench.html.kinds.origin import origin_of
    from feedbench.bench.results.find import find_record

    if is_history(path):
        return replace(report_of_history(path), origin=origin_of(path, "bench --history", path))
    file, kind = find_record(path)
    result = kind.read(file)
    origin = origin_of(path, kind.command, file, None if is_alone else result)
    return replace(report_of(result), origin=origin)


def report_of(result: Result) -> Report:
    """Return what a page says about a result of any kind."""
    if (command := _PLAIN.get(type(result))) is not None:
        plain: Any = import_module(f"{__name__}.plain")
        return cast(Report, plain.report_of_plain(result, command))
    name = _MODULES[type(result)]
    module: Any = import_module(f"{__name__}.{name}")
    build: Callable[[Result], Report] = getattr(module, f"report_of_{name}")
    return build(result)
