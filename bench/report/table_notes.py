"""The notes below the table of a bench: what there is to say of single trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.analysis.utilization import describe_throttling, utilization_conflict
from feedbench.bench.quantities import quantity
from feedbench.bench.report.document import Line
from feedbench.bench.report.table import trial_name


def notes(summary: Summary) -> Iterator[Line]:
    """Yield what there is to say of single trials."""
    yield from _failures(summary.trials)
    for trial in summary.trials:
        yield from _trial_notes(trial)
    if left_out := max((trial.left_out for trial in summary.trials), default=0):
        images = quantity(left_out, "image")
        yield Line(f"Left out: {images} that not all of these loaders can read.")


def _failures(trials: Iterable[TrialSummary]) -> Iterator[Line]:
    """Yield each error once: a model that fails does so in every trial."""
    names: dict[tuple[str, str | None], list[str]] = {}
    for trial in trials:
        if trial.error:
            names.setdefault((trial.error, trial.traceback), []).append(trial_name(trial))
    for (error, traceback), failed in names.items():
        yield Line(f"{', '.join(failed)} failed: {error}")
        if traceback:
            yield Line(traceback, form="code")


def _trial_notes(trial: TrialSummary) -> Iterator[Line]:
    name = trial_name(trial)
    for fault in trial.own_faults:
        yield Line(f"{name}: {fault}.")
    if trial.unproven:
        blocks = quantity(len(trial.unproven), "block")
        yield Line(f"{name}: {blocks} not counted: {trial.unproven[0]}")
    if conflict := _conflict(trial):
        yield Line(f"{name}: {conflict}")
    if trial.gpu_throttled:
        yield Line(f"{name}: {describe_throttling(trial.gpu_throttled)}.")


def _conflict(trial: TrialSummary) -> str | None:
    if trial.wait_share is None:
        return None
    utilization = trial.accelerator_utilization
    return utilization_conflict(
        trial.wait_share,
        None if utilization is None else 1 - utilization.value,
        trial.gpu_utilization,
        trial.gpu_multiprocessors,
    )
