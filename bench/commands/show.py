"""show: prints the tables of an earlier run, derived from its record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.compare import print_comparison
from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console
from feedbench.bench.commands.over_time import write_over_time
from feedbench.bench.commands.run_bench import print_table, print_verdict, show_summary
from feedbench.bench.commands.run_diagnosis import print_diagnosis
from feedbench.bench.commands.run_limits import print_limits
from feedbench.bench.commands.run_training import show_training
from feedbench.bench.commands.run_tune import print_search
from feedbench.bench.commands.scan import print_scan
from feedbench.bench.commands.selftest import print_battery
from feedbench.bench.commands.study import show_study
from feedbench.bench.errors import NOTHING_DONE
from feedbench.bench.results import kinds

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.results.find import Kind


def show(
    result: Annotated[
        Path, typer.Argument(help="The folder of a run, or one file with its record.")
    ],
    timeline: Annotated[
        Path | None,
        typer.Option(
            help="Also plot waits, steps and meters of one trial over time, as PNG.",
            dir_okay=False,
        ),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(
            help="Number of the trial to plot, its line in trials.jsonl; by default the winner, or "
            "the first trial with a timed block.",
            min=1,
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Also save all trials as a trace for ui.perfetto.dev, as JSON.", dir_okay=False
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Reads the results of every command that measures, and of FitMonitor.

    For a folder that holds several runs, they are listed.
    """
    from feedbench.bench.files import write_json
    from feedbench.bench.results.find import find_record, find_runs, record_in

    if record_in(result) is None and (runs := find_runs(result)):
        values, is_measured = _list_runs(console(), runs), True
    else:
        path, kind = find_record(result)
        if timeline is not None or trace is not None:
            write_over_time(path.parent, timeline, trial, trace)
        found = kind.read(path)
        print_result(console(), found)
        values, is_measured = found.values, found.is_measured
    if json is not None:
        write_json(json, values)
    if not is_measured:
        raise typer.Exit(NOTHING_DONE)


def _list_runs(terminal: Console, runs: list[tuple[Path, Kind]]) -> Any:
    lines = [{"folder": str(path.parent), "command": kind.command} for path, kind in runs]
    terminal.print("Runs in this folder; give one of them:")
    for line in lines:
        terminal.print(f"  {line['command']:9}{line['folder']}", soft_wrap=True)
    return lines


def print_result(terminal: Console, result: kinds.Result) -> None:
    """Print the tables and the verdict of a result."""
    _PRINTERS[type(result)](terminal, result)


def _print_bench(terminal: Console, result: kinds.BenchResult) -> None:
    if result.trials:
        show_summary(terminal, result.trials, result.summary)
    else:
        print_table(terminal, result.summary)
        print_verdict(terminal, result.summary)


def _print_fit(terminal: Console, result: kinds.FitResult) -> None:
    """Print what a FitMonitor recorded."""
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.monitor.text import fit_lines, headline

    terminal.print(headline(result.record))
    if result.figures is not None:
        print_table(terminal, summarize(result.trials).model_copy(update={"winner": None}))
    for line in fit_lines(result.figures, result.record):
        terminal.print(line, soft_wrap=True)


def _print_pixels(terminal: Console, result: kinds.PixelsResult) -> None:
    from feedbench.bench.pixels.table import table, verdict, worst_images

    comparison = result.comparison
    terminal.print(table(comparison))
    for line in worst_images(comparison):
        terminal.print(line, soft_wrap=True)
    terminal.print(verdict(comparison), style="bold")


_PRINTERS: dict[type, Callable[[Console, Any], None]] = {
    kinds.BenchResult: _print_bench,
    kinds.FitResult: _print_fit,
    kinds.LimitsResult: lambda terminal, it: print_limits(terminal, it.trials, it.limits),
    kinds.DiagnosisResult: lambda terminal, it: print_diagnosis(terminal, it.record, it.diagnosis),
    kinds.TuneResult: lambda terminal, it: print_search(terminal, it.record),
    kinds.StudyResult: lambda terminal, it: show_study(terminal, it.report),
    kinds.TrainingResult: lambda terminal, it: show_training(terminal, it.values, it.path.parent),
    kinds.PixelsResult: _print_pixels,
    kinds.ScanResult: lambda terminal, it: print_scan(terminal, it.values),
    kinds.SelfTestResult: lambda terminal, it: print_battery(terminal, it.battery),
    kinds.CompareResult: lambda terminal, it: print_comparison(terminal, it.comparison),
}
