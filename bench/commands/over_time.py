"""Plots the trials of a record over time, for `show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedbench.bench.record import Trial


def write_over_time(
    folder: Path, timeline: Path | None, number: int | None, trace: Path | None
) -> None:
    """Save a plot of one trial and a trace of all.

    Args:
        timeline: file of the plot.
        number: line of the trial to plot in trials.jsonl, from 1; by default the winner, or the
            first trial with a timed block.
        trace: file of the trace.

    Raises:
        PlanError: the trial does not exist or has no timed block.
        RecordError: the folder has no trials, or a file cannot be written.
    """
    from feedbench.bench.files import write_text
    from feedbench.bench.record import read_trials
    from feedbench.bench.report.subject import subject_of
    from feedbench.bench.report.timeline import draw_timeline
    from feedbench.bench.report.trace import trace_text

    trials = read_trials(folder)
    if timeline is not None:
        trial = trials[_index_to_plot(trials, number)]
        draw_timeline(trial.blocks, timeline, subject_of(trial))
    if trace is not None:
        titles = {f"{line} {_title(trial)}": trial.blocks for line, trial in enumerate(trials, 1)}
        write_text(trace, trace_text(titles))


def _index_to_plot(trials: list[Trial], number: int | None) -> int:
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.errors import PlanError

    if number is not None and number > len(trials):
        raise PlanError(f"--trial {number}: the record has {len(trials)} trials")
    timed = [index for index, trial in enumerate(trials) if trial.blocks]
    if number is not None:
        index = number - 1
    else:
        winner = summarize(trials).winner
        index = winner if winner is not None else next(iter(timed), 0)
    if index not in timed:
        raise PlanError(f"--timeline: trial {index + 1} has no timed block")
    return index


def _title(trial: Trial) -> str:
    from feedbench.bench.report.summary_text import consumer_text
    from feedbench.bench.report.table import trial_name

    return f"{trial_name(trial)} → {consumer_text(trial)}"
