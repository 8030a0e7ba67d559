"""Runs the trainings of a study one after the other, each in its own process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from feedbench.bench.errors import RecordError, TrialError
from feedbench.bench.files import write_text
from feedbench.bench.plan.plan import Failures
from feedbench.bench.study.messages import (
    STUDY_WORKER,
    EpochDone,
    Event,
    Skipped,
    Starting,
    TrainingDone,
    TrainingJob,
    TrainingStopped,
)
from feedbench.bench.study.study import Study, StudyRun, read_study
from feedbench.bench.training.folder import LOG, RECIPE, TRAINING
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import Failed, Message
from feedbench.loaders import Manifest
from feedbench.trainer import CHECKPOINT

STUDY, MANIFEST, RUNS, FAILED = "study.toml", "manifest.parquet", "runs", "failed.json"
_STOP_TIMEOUT_S = 60.0  # for a training to save a checkpoint after SIGTERM
OnEvent = Callable[[StudyRun, Event], None]


def write_study(folder: Path, study: Study, manifest: Manifest) -> None:
    """Write a study, and the list of its images as it is now."""
    import tomli_w

    manifest.write(folder / MANIFEST)
    write_text(folder / STUDY, tomli_w.dumps(study.model_dump(mode="json", exclude_none=True)))


def read_study_to_resume(folder: Path) -> Study:
    """Read the study of a folder.

    Raises:
        RecordError: no study was started here.
        PlanError: its file is not valid.
    """
    if not (folder / STUDY).exists():
        raise RecordError(f"{folder}: no {STUDY}; give the folder of a study to --resume")
    return read_study(folder / STUDY)


def run_study(
    folder: Path, runs: Iterable[StudyRun], failures: Failures, on_event: OnEvent
) -> None:
    """Run all trainings that are not finished; resume those that have a checkpoint.

    Each run leaves `training.json`, or `failed.json` with the reason.

    Args:
        folder: written by `write_study`.
        failures: what happens when an image cannot be read.
        on_event: called with each event of each run.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the training in progress has saved a checkpoint.
    """
    for run in runs:
        run_folder = folder / RUNS / run.name
        if (run_folder / TRAINING).exists() or (run_folder / FAILED).exists():
            on_event(run, Skipped())
            continue
        run_folder.mkdir(parents=True, exist_ok=True)
        job = _make_job(run, (folder / MANIFEST).absolute(), run_folder.absolute(), failures)
        on_event(run, Starting(resumed=job.resume))
        try:
            done = _train(job, run_folder / LOG, partial(_pass_on, run, on_event))
            on_event(run, done)
        except TrialError as error:
            write_text(run_folder / FAILED, json.dumps({"reason": str(error)}) + "\n")
            on_event(run, Failed(reason=str(error)))


def failure_reason(folder: Path, run: StudyRun) -> str | None:
    """Return why a run failed; None if it did not.

    Raises:
        RecordError: the file that says so is damaged.
    """
    path = folder / RUNS / run.name / FAILED
    if not path.exists():
        return None
    try:
        return str(json.loads(path.read_bytes())["reason"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path}: not the reason of a failure: {error}; remove the file to train that run again"
        ) from error


def _make_job(run: StudyRun, manifest: Path, run_folder: Path, failures: Failures) -> TrainingJob:
    return TrainingJob(
        best=run.best,
        recipe=run.recipe,
        manifest=manifest,
        folder=run_folder,
        resume=(run_folder / CHECKPOINT).exists() and (run_folder / RECIPE).exists(),
        failures=failures,
    )


def _train(job: TrainingJob, log: Path, on_message: Callable[[Message], None]) -> TrainingDone:
    with Child(STUDY_WORKER, job, log) as child:
        try:
            return child.wait_for(TrainingDone, None, "the training", on_message)
        except KeyboardInterrupt:
            child.terminate(_STOP_TIMEOUT_S)
            raise


def _pass_on(run: StudyRun, on_event: OnEvent, message: Message) -> None:
    if isinstance(message, TrainingStopped):
        raise KeyboardInterrupt
    if isinstance(message, EpochDone):
        on_event(run, message)
