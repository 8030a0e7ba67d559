"""What is shown of a monitored `fit`: its rate beside that on a repeated batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from feedbench.bench.analysis.summary import TrialSummary, summarize
from feedbench.bench.monitor.record import FitFigures, FitRecord
from feedbench.bench.monitor.text import fit_lines, headline
from feedbench.bench.record import Trial
from feedbench.bench.report.document import Column, Line, Part, TableData, words
from feedbench.bench.report.table import noise_legend, trial_columns

_NOT_OF_A_FIT = ("ratio_to_best", "disk_read_bytes")


def parts(record: FitRecord, trials: list[Trial], figures: FitFigures | None) -> Iterator[Part]:
    """Yield what is printed."""
    yield Line(headline(record))
    if figures is not None:
        yield fit_table(trials)
    for line in fit_lines(figures, record):
        yield Line(line)


def fit_table(trials: list[Trial]) -> TableData[TrialSummary]:
    """Return a row for the `fit`, and one for the repeated batch if that was timed."""
    fit, *_ = rows = summarize(trials).trials
    return TableData(
        name="fit",
        columns=[
            words("data", "data", lambda row: row.loader if row is fit else "a repeated batch"),
            *(_of_a_fit(column) for column in trial_columns() if column.name not in _NOT_OF_A_FIT),
        ],
        rows=rows,
        legend=noise_legend(rows),
    )


def _of_a_fit(column: Column[TrialSummary]) -> Column[TrialSummary]:
    """Return a column of a bench with what it means here."""
    if column.name != "accelerator_utilization":
        return column
    meaning = "AU (accelerator utilization): rate ÷ rate on a repeated batch."
    return replace(column, meaning=meaning)
