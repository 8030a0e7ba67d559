"""show: prints the tables of an earlier run, derived from its record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console
from feedbench.bench.commands.over_time import write_over_time
from feedbench.bench.commands.run_bench import print_table, print_verdict, show_summary
from feedbench.bench.commands.run_diagnosis import print_diagnosis
from feedbench.bench.commands.run_limits import print_limits
from feedbench.bench.commands.run_training import show_training
from feedbench.bench.commands.run_tune import print_search
from feedbench.bench.commands.study import show_study
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.record import Trial


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
    """Reads the results of bench, limits, diagnose, tune, study, train, pixels and FitMonitor.

    For a folder that holds several runs, they are listed.
    """
    from feedbench.bench.files import write_json

    if _record_in(result) is None and (runs := find_runs(result)):
        values, is_measured = _list_runs(console(), runs)
    else:
        path, kind = find_record(result)
        if timeline is not None or trace is not None:
            write_over_time(path.parent, timeline, trial, trace)
        values, is_measured = kind.show(console(), path)
    if json is not None:
        write_json(json, values)
    if not is_measured:
        raise typer.Exit(NOTHING_DONE)


class Result(NamedTuple):
    """The JSON-compatible values of a result, and whether anything could be measured."""

    values: Any
    is_measured: bool


@dataclass(frozen=True)
class Kind:
    """A kind of record.

    Attributes:
        command: the command that writes it.
        show: reads a record, prints it and returns its values.
        fields: JSON fields that identify the record in a file of any name; empty if the record
            needs other files in its folder.
    """

    command: str
    show: Callable[[Console, Path], Result]
    fields: frozenset[str] = frozenset()


def find_record(path: Path) -> tuple[Path, Kind]:
    """Return the file of a record and its kind.

    Args:
        path: the file, or a folder; if it has several records, the first of `KINDS` is used.

    Raises:
        RecordError: there is no record.
    """
    from feedbench.bench.errors import RecordError

    if record := _record_in(path):
        return record
    if path.is_dir():
        for name, what in _OTHER_FOLDERS.items():
            if (path / name).is_file():
                raise RecordError(f"{path}: {what}")
    elif path.name in KINDS:
        return path, KINDS[path.name]
    elif kind := _kind_by_fields(path):
        return path, kind
    if not path.exists():
        raise RecordError(f"{path}: no such folder or file; name the folder of a run")
    known = ", ".join(f"{name} ({kind.command})" for name, kind in KINDS.items())
    raise RecordError(f"{path}: no record to show; give a folder or a file with one of: {known}")


def find_runs(folder: Path) -> list[tuple[Path, Kind]]:
    """Return the records in the subfolders of a folder, at most two levels down."""
    folders = sorted(path for level in ("*", "*/*") for path in folder.glob(level))
    return [record for path in folders if (record := _record_in(path))]


def _record_in(folder: Path) -> tuple[Path, Kind] | None:
    """Return the first of `KINDS` in a folder; None if it has none, or is no folder."""
    records = ((folder / name, kind) for name, kind in KINDS.items() if (folder / name).is_file())
    return next(records, None)


def _list_runs(terminal: Console, runs: list[tuple[Path, Kind]]) -> Result:
    lines = [{"folder": str(path.parent), "command": kind.command} for path, kind in runs]
    terminal.print("Runs in this folder; give one of them:")
    for line in lines:
        terminal.print(f"  {line['command']:9}{line['folder']}", soft_wrap=True)
    return Result(lines, True)


def _kind_by_fields(path: Path) -> Kind | None:
    """Return the kind of a JSON file of any name, such as one from `pixels --json`."""
    try:
        fields = set(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    kinds = (kind for kind in KINDS.values() if kind.fields and kind.fields <= fields)
    return next(kinds, None)


def _bench(terminal: Console, path: Path) -> Result:
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.record import read_trials

    trials = read_trials(path.parent)
    _check_distinct(trials, path)
    summary = summarize(trials)
    show_summary(terminal, trials, summary)
    return Result(summary.model_dump(), summary.winner is not None)


def _check_distinct(trials: list[Trial], path: Path) -> None:
    """Check that no trial is there twice: blocks of two runs are not paired.

    Raises:
        RecordError: two trials have the same loader, settings and augmentation.
    """
    from feedbench.bench.errors import RecordError
    from feedbench.bench.report.table import trial_name

    lines: dict[str, int] = {}
    for number, trial in enumerate(trials, 1):
        name = trial_name(trial)
        if lines.setdefault(name, number) != number:
            raise RecordError(
                f"{path}: lines {lines[name]} and {number} are both {name}; give the record of one "
                "bench, or the folder of a tune"
            )


def _fit(terminal: Console, path: Path) -> Result:
    """Show what a FitMonitor recorded."""
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.monitor.record import figures, read_fit
    from feedbench.bench.monitor.text import fit_lines, headline
    from feedbench.bench.record import read_trials

    record, trials = read_fit(path), read_trials(path.parent)
    found = figures(trials)
    terminal.print(headline(record))
    if found is not None:
        print_table(terminal, summarize(trials).model_copy(update={"winner": None}))
    for line in fit_lines(found, record):
        terminal.print(line, soft_wrap=True)
    values = {"figures": None if found is None else found.model_dump()}
    return Result(record.model_dump() | values, found is not None)


def _summary(terminal: Console, path: Path) -> Result:
    """Show a bench of which only the summary was saved."""
    from feedbench.bench.analysis.summary import Summary
    from feedbench.bench.files import read_model

    summary = read_model(path, Summary, "bench")
    print_table(terminal, summary)
    print_verdict(terminal, summary)
    return Result(summary.model_dump(), summary.winner is not None)


def _limits(terminal: Console, path: Path) -> Result:
    from feedbench.bench.limits.limits import derive, read_limits
    from feedbench.bench.record import read_trials

    trials = read_trials(path.parent)
    limits = derive(trials, read_limits(path.parent))
    print_limits(terminal, trials, limits)
    return Result(limits.model_dump(), any(loader.images_per_second for loader in limits.loaders))


def _diagnosis(terminal: Console, path: Path) -> Result:
    from feedbench.bench.diagnose.record import read_diagnosis
    from feedbench.bench.diagnose.verdict import derive_diagnosis

    record = read_diagnosis(path)
    diagnosis = derive_diagnosis(record)
    print_diagnosis(terminal, record, diagnosis)
    return Result(diagnosis.model_dump(), diagnosis.bottleneck is not None)


def _tune(terminal: Console, path: Path) -> Result:
    from feedbench.bench.files import read_model
    from feedbench.bench.tune.record import TuneRecord

    record = read_model(path, TuneRecord, "tune")
    print_search(terminal, record)
    return Result(record.model_dump(mode="json"), record.best is not None)


def _study(terminal: Console, path: Path) -> Result:
    from feedbench.bench.files import read_model
    from feedbench.bench.study.report import StudyReport

    report = read_model(path, StudyReport, "study")
    show_study(terminal, report)
    return Result(report.model_dump(), report.images > 0)


def _training(terminal: Console, path: Path) -> Result:
    from feedbench.bench.training.folder import read_training

    result = read_training(path)
    show_training(terminal, result, path.parent)
    return Result(result, True)


def _pixels(terminal: Console, path: Path) -> Result:
    from feedbench.bench.files import read_model
    from feedbench.bench.pixels.result import PixelComparison
    from feedbench.bench.pixels.table import table, verdict, worst_images

    record = read_model(path, PixelComparison, "pixel check")
    terminal.print(table(record))
    for line in worst_images(record):
        terminal.print(line, soft_wrap=True)
    terminal.print(verdict(record), style="bold")
    return Result(record.model_dump(), True)


KINDS = {
    "limits-record.json": Kind("limits", _limits),
    "diagnosis-record.json": Kind("diagnose", _diagnosis, frozenset({"parts", "cache_state"})),
    "tune.json": Kind("tune", _tune, frozenset({"about", "findings"})),
    "study.json": Kind("study", _study, frozenset({"effects", "confidence"})),
    "fit.json": Kind("fit", _fit),
    "trials.jsonl": Kind("bench", _bench),
    "summary.json": Kind("bench", _summary, frozenset({"trials", "winner"})),
    "training.json": Kind("train", _training, frozenset({"epochs", "promise"})),
    "pixels.json": Kind("pixels", _pixels, frozenset({"reference", "loaders"})),
}


# Files of folders that hold no result, and what such a folder is.
_OTHER_FOLDERS = {
    "loader.toml": "a training that is not finished; resume it with feedbench train --resume",
    "pack.json": "a pack of prepared images; check it with feedbench pack",
    "study.toml": "a study that is not finished; resume it with feedbench study --resume",
}
