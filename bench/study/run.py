"""Runs a study's trainings one after the other, each in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from feedbench.bench.errors import RecordError, TrialError
from feedbench.bench.files import write_text
from feedbench.bench.study.messages import (
    STUDY_WORKER,
    Begun,
    EpochDone,
    Event,
    Known,
    Stopped,
    Trained,
    TrainingJob,
)
from feedbench.bench.study.study import Run, Study, read_study
from feedbench.bench.training.folder import RECIPE, TRAINING
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.messages import Failed, Message
from feedbench.loaders import Manifest
from feedbench.trainer.checkpoint import CHECKPOINT

STUDY, MANIFEST, RUNS, FAILED = "study.toml", "manifest.parquet", "runs", "failed.json"
_PATIENCE_S = 60.0  # for a training that is told to keep where it stands
Report = Callable[[Run, Event], None]


def begin_study(folder: Path, study: Study, manifest: Manifest) -> None:
    """Keep what the study is, and its images as they are listed now."""
    import tomli_w

    manifest.write(folder / MANIFEST)
    write_text(folder / STUDY, tomli_w.dumps(study.model_dump(mode="json", exclude_none=True)))


def begun_study(folder: Path) -> Study:
    """The study of a folder.

    Raises:
        RecordError: no study began here.
        PlanError: its file is not valid any more.
    """
    if not (folder / STUDY).exists():
        raise RecordError(f"{folder}: no {STUDY}; give the folder of a study to --resume")
    return read_study(folder / STUDY)


def run_all(folder: Path, runs: Iterable[Run], report: Report) -> None:
    """Train what has not been trained yet; a training that was stopped goes on.

    Each ends with `training.json`, or with `failed.json` that says why.

    Raises:
        KeyboardInterrupt: the training under way has kept where it stands.
    """
    for run in runs:
        home = folder / RUNS / run.name
        if (home / TRAINING).exists() or (home / FAILED).exists():
            report(run, Known())
            continue
        home.mkdir(parents=True, exist_ok=True)
        resume = (home / CHECKPOINT).exists() and (home / RECIPE).exists()
        job = TrainingJob(
            best=run.best,
            recipe=run.recipe,
            manifest=(folder / MANIFEST).absolute(),
            folder=home.absolute(),
            resume=resume,
        )
        report(run, Begun(resumed=resume))
        try:
            report(run, _train(job, home / "train.log", partial(_on_event, run, report)))
        except TrialError as error:
            write_text(home / FAILED, json.dumps({"reason": str(error)}) + "\n")
            report(run, Failed(reason=str(error)))


def failure(folder: Path, run: Run) -> str | None:
    """Why a training failed, if it did."""
    path = folder / RUNS / run.name / FAILED
    reason: str | None = json.loads(path.read_text())["reason"] if path.exists() else None
    return reason


def _train(job: TrainingJob, log: Path, on_event: Callable[[Message], None]) -> Trained:
    with Child(STUDY_WORKER, job, log) as child:
        try:
            return child.wait_for(Trained, None, "the training", on_event)
        except KeyboardInterrupt:
            child.terminate(_PATIENCE_S)
            raise


def _on_event(run: Run, report: Report, message: Message) -> None:
    if isinstance(message, Stopped):
        raise KeyboardInterrupt
    if isinstance(message, EpochDone):
        report(run, message)
