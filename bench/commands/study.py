"""study: trains one recipe over a small grid, and compares the accuracies with intervals."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import TRAINING_SPEC, Json, Out, list_images, readable_rows
from feedbench.bench.commands.output import console, print_parts, result_folder
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.study.messages import Event
    from feedbench.bench.study.study import Study, StudyRun


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
    from feedbench.bench.files import write_result
    from feedbench.bench.study.report import make_report
    from feedbench.bench.study.run import run_study
    from feedbench.bench.study.study import make_runs
    from feedbench.bench.study.table import parts

    folder, settings = _start_or_resume(file, resume, out)
    runs = make_runs(settings, TRAINING_SPEC)
    terminal = console()
    progress = _Progress(terminal, len(runs))
    try:
        run_study(folder, runs, settings.failures, progress)
    except KeyboardInterrupt:
        raise InterruptedRun(
            "interrupted; finished trainings are saved; to resume: "
            f"feedbench study --resume {quote(str(folder))}"
        ) from None
    report = make_report(folder, runs)
    for path in filter(None, (folder / "study.json", json)):
        write_result(path, report.model_dump())
    print_parts(terminal, parts(report, progress.failed))
    terminal.print(f"Study and trainings: {folder}", highlight=False, soft_wrap=True)
    if len(report.failed) == len(runs):
        raise typer.Exit(NOTHING_DONE)


def _start_or_resume(
    file: Path | None, resume: Path | None, out: Path | None
) -> tuple[Path, Study]:
    """Return the folder of a new or a resumed study, and its settings."""
    from feedbench.bench.errors import PlanError
    from feedbench.bench.study.run import read_study_to_resume, write_study
    from feedbench.bench.study.study import make_runs, read_study, with_loader_resolved
    from feedbench.bench.trials.feasibility import check_feasible
    from feedbench.loaders import DEFAULT_LOADER, parse_spec

    if (file is None) == (resume is None):
        raise PlanError("study: give a FILE to start from, or --resume FOLDER")
    if resume is not None:
        if out is not None:
            raise PlanError("--resume uses its own folder; leave out --out")
        return resume, read_study_to_resume(resume)
    assert file is not None
    settings = with_loader_resolved(read_study(file), TRAINING_SPEC)
    runs = make_runs(settings, TRAINING_SPEC)
    loaders = {run.best.loader for run in runs}
    blacklist = Path(settings.blacklist) if settings.blacklist else None
    # The default loader always reads the validation and test images.
    manifest, _ = readable_rows(
        list_images(settings.data, blacklist), {*loaders, DEFAULT_LOADER}, console()
    )
    for split in ("train", "validation", "test"):
        manifest.only(split)
    for run in runs:
        check_feasible(
            parse_spec(run.best.spec), manifest.only("train"), [run.best.loader], run.recipe
        )
    folder = result_folder(out, "study")
    write_study(folder, settings, manifest)
    return folder, settings


class _Progress:
    """Prints a line for each training and each epoch.

    Attributes:
        failed: names of the runs whose failure was printed.
    """

    def __init__(self, terminal: Console, count: int) -> None:
        self.failed: list[str] = []
        self._terminal = terminal
        self._count = count
        self._seen: set[str] = set()

    def __call__(self, run: StudyRun, event: Event) -> None:
        from feedbench.bench.trials.protocol import Failed

        self._seen.add(run.name)
        if isinstance(event, Failed):
            self.failed.append(run.name)
        self._terminal.print(
            f"[{len(self._seen)}/{self._count}] {_event_line(run, event)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _event_line(run: StudyRun, event: Event) -> str:
    from feedbench.bench.study.messages import EpochDone, Skipped, Starting, TrainingDone
    from feedbench.bench.training.progress import score

    cell = ", ".join(f"{name} {value}" for name, value in run.cell.items())
    if isinstance(event, Starting):
        return f"{cell}, seed {run.seed}" + (": resumes" if event.resumed else "")
    if isinstance(event, Skipped):
        return f"{cell}, seed {run.seed}: skipped, already run"
    if isinstance(event, EpochDone):
        return f"  epoch {event.epoch.epoch}/{run.recipe.epochs}: validation {score(event.epoch)}"
    if isinstance(event, TrainingDone):
        return f"  test accuracy {event.test_accuracy:.1%}"
    return f"  failed: {event.reason}"
