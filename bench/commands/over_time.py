"""Plots the trials of a record over time, for `show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedbench.bench.diagnose.record import DiagnosisRecord
    from feedbench.bench.record import Trial
    from feedbench.bench.results.kinds import Result


def write_over_time(
    result: Result, timeline: Path | None, number: int | None, trace: Path | None
) -> list[Path]:
    """Save a plot of one trial and a trace of all; return the files that were written.

    Of a diagnosis, the blocks end to end are drawn.

    Args:
        result: what was measured.
        timeline: file of the plot.
        number: line of the trial to plot in trials.jsonl, from 1; by default the winner, or the
            first trial with a timed block.
        trace: file of the trace.

    Raises:
        PlanError: nothing of it can be drawn, or the trial does not exist or has no timed block.
        RecordError: the folder has no trials, or a file cannot be written.
    """
    from feedbench.bench.errors import PlanError
    from feedbench.bench.results import kinds
    from feedbench.bench.trials_file import read_trials

    match result:
        case kinds.DiagnosisResult(record=record):
            if number is not None:
                raise PlanError("--trial: a diagnosis has no trials; leave it out")
            _write_diagnosis(record, timeline, trace)
        case kinds.BenchResult() | kinds.TuneResult() | kinds.LimitsResult() | kinds.FitResult():
            _write_trials(read_trials(result.path.parent), timeline, number, trace)
        case _:
            raise PlanError(
                f"{result.path}: holds no blocks to draw over time; give the folder of a bench, "
                "tune, limits or diagnose run, or of a FitMonitor"
            )
    return [path for path in (timeline, trace) if path is not None]


def _write_diagnosis(record: DiagnosisRecord, timeline: Path | None, trace: Path | None) -> None:
    from feedbench.bench.diagnose.subject import diagnosed, end_to_end, track_name
    from feedbench.bench.errors import PlanError
    from feedbench.bench.files import write_text
    from feedbench.bench.report.timeline import draw_timeline
    from feedbench.bench.report.trace import trace_text

    blocks = end_to_end(record)
    if not blocks:
        raise PlanError("--timeline, --trace: the diagnosis has no timed block end to end")
    if timeline is not None:
        draw_timeline(blocks, timeline, diagnosed(record))
    if trace is not None:
        write_text(trace, trace_text({track_name(record): blocks}))


def _write_trials(
    trials: list[Trial], timeline: Path | None, number: int | None, trace: Path | None
) -> None:
    from feedbench.bench.files import write_text
    from feedbench.bench.report.subject import subject_of
    from feedbench.bench.report.table import trial_name
    from feedbench.bench.report.timeline import draw_timeline
    from feedbench.bench.report.trace import trace_text

    if timeline is not None:
        trial = trials[_index_to_plot(trials, number)]
        draw_timeline(trial.blocks, timeline, subject_of(trial))
    if trace is not None:
        tracks = {f"{line} {trial_name(one)}": one.blocks for line, one in enumerate(trials, 1)}
        write_text(trace, trace_text(tracks))


def _index_to_plot(trials: list[Trial], number: int | None) -> int:
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.errors import PlanError
    from feedbench.bench.quantities import quantity

    if number is not None and number > len(trials):
        raise PlanError(f"--trial {number}: the record has {quantity(len(trials), 'trial')}")
    timed = [index for index, trial in enumerate(trials) if trial.blocks]
    if number is not None:
        index = number - 1
    else:
        winner = summarize(trials).winner
        index = winner if winner is not None else next(iter(timed), 0)
    if index not in timed:
        raise PlanError(f"--timeline: trial {index + 1} has no timed block")
    return index
