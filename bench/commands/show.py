"""show: the tables of an earlier run, derived from its record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console
from feedbench.bench.commands.run_bench import show_summary
from feedbench.bench.commands.run_diagnosis import print_diagnosis
from feedbench.bench.commands.run_limits import print_limits
from feedbench.bench.commands.run_training import show_training
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
            help="Also draw one trial's waits, steps and meters over time; a PNG.", dir_okay=False
        ),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(
            help="Which one, by its line in trials.jsonl. (default: the winner, or the first)",
            min=1,
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Also write all trials as a trace for ui.perfetto.dev; JSON.", dir_okay=False
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Show the tables of an earlier run: bench, limits, diagnose, tune, study, train or pixels."""
    from feedbench.bench.files import write_json

    path, kind = find_record(result)
    if timeline is not None or trace is not None:
        _keep_over_time(path.parent, timeline, trial, trace)
    shown = kind.show(console(), path)
    if json is not None:
        write_json(json, shown.values)
    if not shown.measured:
        raise typer.Exit(NOTHING_DONE)


class Shown(NamedTuple):
    """What was shown: its plain values, and whether anything could be measured."""

    values: Any
    measured: bool


@dataclass(frozen=True)
class Kind:
    """A kind of record.

    Attributes:
        command: that writes it.
        show: prints the record in a file.
        fields: of the JSON object in the file, which tell its kind where it has another name;
            empty if it needs other files beside it.
    """

    command: str
    show: Callable[[Console, Path], Shown]
    fields: frozenset[str] = frozenset()


def find_record(place: Path) -> tuple[Path, Kind]:
    """The record in a folder or a file, and its kind; of several in a folder the first of `KINDS`.

    Raises:
        RecordError: there is none.
    """
    from feedbench.bench.errors import RecordError

    if place.is_dir():
        named = [name for name in KINDS if (place / name).is_file()]
        if named:
            return place / named[0], KINDS[named[0]]
    elif place.name in KINDS:
        return place, KINDS[place.name]
    elif kind := _kind_by_fields(place):
        return place, kind
    known = ", ".join(f"{name} ({kind.command})" for name, kind in KINDS.items())
    raise RecordError(f"{place}: no record to show; give a folder or a file with one of: {known}")


def _kind_by_fields(path: Path) -> Kind | None:
    """The kind of a JSON file that a user named, such as by `pixels --json`."""
    try:
        fields = set(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    kinds = (kind for kind in KINDS.values() if kind.fields and kind.fields <= fields)
    return next(kinds, None)


def _bench(terminal: Console, path: Path) -> Shown:
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.record import read_trials

    trials = read_trials(path.parent)
    summary = summarize(trials)
    show_summary(terminal, trials, summary)
    return Shown(summary.model_dump(), summary.winner is not None)


def _summary(terminal: Console, path: Path) -> Shown:
    """A bench whose trials were not kept."""
    from feedbench.bench.analysis.summary import Summary
    from feedbench.bench.files import read_model
    from feedbench.bench.report.table import table, verdict

    summary = read_model(path, Summary, "bench")
    terminal.print(table(summary))
    terminal.print(verdict(summary), style="bold", highlight=False)
    return Shown(summary.model_dump(), summary.winner is not None)


def _limits(terminal: Console, path: Path) -> Shown:
    from feedbench.bench.limits.limits import derive, read_limits
    from feedbench.bench.record import read_trials

    trials = read_trials(path.parent)
    limits = derive(trials, read_limits(path.parent))
    print_limits(terminal, trials, limits)
    return Shown(limits.model_dump(), any(one.images_per_second for one in limits.loaders))


def _diagnosis(terminal: Console, path: Path) -> Shown:
    from feedbench.bench.diagnose.record import read_diagnosed
    from feedbench.bench.diagnose.verdict import derive

    record = read_diagnosed(path)
    diagnosis = derive(record)
    print_diagnosis(terminal, record, diagnosis)
    return Shown(diagnosis.model_dump(), diagnosis.bottleneck is not None)


def _tune(terminal: Console, path: Path) -> Shown:
    from feedbench.bench.files import read_model
    from feedbench.bench.tune.table import verdict, worth
    from feedbench.bench.tune.tune import Found

    record = read_model(path, Found, "tune")
    terminal.print(worth(record))
    terminal.print(verdict(record), style="bold", highlight=False, soft_wrap=True)
    return Shown(record.model_dump(mode="json"), record.best is not None)


def _study(terminal: Console, path: Path) -> Shown:
    from feedbench.bench.files import read_model
    from feedbench.bench.study.report import StudyReport

    report = read_model(path, StudyReport, "study")
    show_study(terminal, report)
    return Shown(report.model_dump(), report.images > 0)


def _training(terminal: Console, path: Path) -> Shown:
    from feedbench.bench.training.folder import read_training

    result = read_training(path)
    show_training(terminal, result, path.parent)
    return Shown(result, True)


def _pixels(terminal: Console, path: Path) -> Shown:
    from feedbench.bench.files import read_model
    from feedbench.bench.pixels.compare import Pixels
    from feedbench.bench.pixels.table import table, verdict, worst_images

    record = read_model(path, Pixels, "pixel check")
    terminal.print(table(record))
    for line in worst_images(record):
        terminal.print(line, highlight=False, markup=False, soft_wrap=True)
    terminal.print(verdict(record), style="bold", highlight=False)
    return Shown(record.model_dump(), True)


KINDS = {
    "limits-record.json": Kind("limits", _limits),
    "diagnosis-record.json": Kind("diagnose", _diagnosis, frozenset({"parts", "cache_state"})),
    "tune.json": Kind("tune", _tune, frozenset({"about", "findings"})),
    "study.json": Kind("study", _study, frozenset({"effects", "confidence"})),
    "trials.jsonl": Kind("bench", _bench),
    "summary.json": Kind("bench", _summary, frozenset({"trials", "winner"})),
    "training.json": Kind("train", _training, frozenset({"epochs", "promise"})),
    "pixels.json": Kind("pixels", _pixels, frozenset({"reference", "loaders"})),
}


def _keep_over_time(
    folder: Path, timeline: Path | None, number: int | None, trace: Path | None
) -> None:
    """Draw one trial, and write all as a trace, a process each.

    Args:
        number: of the trial to draw, its line in the record from 1; without it the winner, or the
            first that was timed.

    Raises:
        PlanError: there is no such trial, or it has no timed block.
        RecordError: the folder holds no trials, or a file cannot be written.
    """
    from feedbench.bench.files import write_text
    from feedbench.bench.record import read_trials
    from feedbench.bench.report.timeline import draw_timeline
    from feedbench.bench.report.trace import trace_text

    trials = read_trials(folder)
    if timeline is not None:
        chosen = trials[_to_draw(trials, number)]
        draw_timeline(chosen.blocks, timeline, _title(chosen))
    if trace is not None:
        titles = {f"{line} {_title(trial)}": trial.blocks for line, trial in enumerate(trials, 1)}
        write_text(trace, trace_text(titles))


def _to_draw(trials: list[Trial], number: int | None) -> int:
    from feedbench.bench.analysis.summary import summarize
    from feedbench.bench.errors import PlanError

    if number is not None and number > len(trials):
        raise PlanError(f"--trial {number}: the record has {len(trials)}")
    timed = [index for index, trial in enumerate(trials) if trial.blocks]
    winner = summarize(trials).winner
    index = number - 1 if number is not None else winner if winner in timed else None
    chosen = index if index is not None else next(iter(timed), 0)
    if chosen not in timed:
        raise PlanError(f"--timeline: trial {chosen + 1} has no timed block")
    return chosen


def _title(trial: Trial) -> str:
    from feedbench.bench.plan.plan import Choice
    from feedbench.bench.report.table import fed

    choice = Choice(loader=trial.loader, settings=trial.settings, augment=trial.augment)
    return f"{choice} → {fed(trial)}"
