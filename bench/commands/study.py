"""study: trains one recipe over a small grid, and compares the accuracies with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.options import TRAINING_SPEC, Json, Out, list_images, readable_rows
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.study.messages import Event
    from feedbench.bench.study.report import Report
    from feedbench.bench.study.study import Run


def study(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A TOML file: data, loader, settings, spec, recipe, seeds, grid."
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Resume the study in this folder as it was started.")
    ] = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Intervals include the spread over seeds and over test images.

    They are widened for the number of comparisons.
    """
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.files import write_json
    from feedbench.bench.study.report import report_of
    from feedbench.bench.study.run import run_all
    from feedbench.bench.study.study import runs_of

    folder, settings = _start_or_resume(file, resume, out)
    runs = runs_of(settings, TRAINING_SPEC)
    terminal = console()
    try:
        run_all(folder, runs, _ProgressPrinter(len(runs)))
    except KeyboardInterrupt:
        raise InterruptedRun(
            "interrupted; finished trainings are saved; resume with feedbench study --resume "
            f"{folder}"
        ) from None
    report = report_of(folder, runs)
    for path in filter(None, (folder / "study.json", json)):
        write_json(path, report.model_dump())
    show_study(terminal, report)
    terminal.print(f"Records: {folder}", highlight=False, soft_wrap=True)
    if len(report.failed) == len(runs):
        raise typer.Exit(NOTHING_DONE)


def _start_or_resume(file: Path | None, resume: Path | None, out: Path | None) -> tuple[Path, Any]:
    """Returns the folder of a new or a resumed study, and its settings."""
    from feedbench.bench.errors import PlanError
    from feedbench.bench.study.run import begin_study, begun_study
    from feedbench.bench.study.study import read_study, runs_of
    from feedbench.loaders import DEFAULT_LOADER

    if (file is None) == (resume is None):
        raise PlanError("study: give a FILE to start from, or --resume FOLDER")
    if resume is not None:
        if out is not None:
            raise PlanError("--resume uses its own folder; leave out --out")
        return resume, begun_study(resume)
    assert file is not None
    settings = read_study(file)
    loaders = {run.best.loader for run in runs_of(settings, TRAINING_SPEC)}
    blacklist = Path(settings.blacklist) if settings.blacklist else None
    # The default loader always reads the validation and test images.
    manifest, _ = readable_rows(
        list_images(settings.data, blacklist), {*loaders, DEFAULT_LOADER}, console()
    )
    for split in ("train", "validation", "test"):
        manifest.only(split)
    folder = result_folder(out, "study")
    begin_study(folder, settings, manifest)
    return folder, settings


class _ProgressPrinter:
    """Prints one line when a training starts or ends, and one per epoch."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._started: list[str] = []

    def __call__(self, run: Run, event: Event) -> None:
        if run.name not in self._started:
            self._started.append(run.name)
        number = f"[{len(self._started)}/{self._count}]"
        text = f"{number} {self._line(run, event)}"
        console().print(text, highlight=False, markup=False, soft_wrap=True)

    def _line(self, run: Run, event: Event) -> str:
        from feedbench.bench.study.messages import Begun, EpochDone, Known, Trained

        cell = ", ".join(f"{name} {value}" for name, value in run.cell.items())
        if isinstance(event, Begun):
            return f"{cell}, seed {run.seed}" + (": resumed" if event.resumed else "")
        if isinstance(event, Known):
            return f"{cell}, seed {run.seed}: already finished"
        if isinstance(event, EpochDone):
            return (
                f"  epoch {event.epoch.epoch}/{run.recipe.epochs}: validation accuracy "
                f"{event.epoch.validation_accuracy:.1%}"
            )
        if isinstance(event, Trained):
            return f"  test accuracy {event.test_accuracy:.1%}"
        return f"  failed: {event.reason}"


def show_study(terminal: Console, report: Report) -> None:
    """Print one table per field, the failed trainings, and which differences are real."""
    from feedbench.bench.study.table import tables

    for table in tables(report):
        terminal.print(table)
    for name, reason in report.failed.items():
        line = f"{name} failed: {reason}"
        terminal.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    for line in report.text:
        terminal.print(line, style="bold", highlight=False, markup=False)
    terminal.print(
        f"{report.images:,} test images; intervals of {report.confidence:.1%}, from pairs of "
        "trainings with the same seed.",
        highlight=False,
        soft_wrap=True,
    )
