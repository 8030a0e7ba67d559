"""Runs a study's trainings one after the other, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from feedbench.bench.errors import RecordError
from feedbench.bench.files import write_text
from feedbench.bench.study.study import Run, Study, read_study
from feedbench.bench.training.folder import RECIPE, TRAINING
from feedbench.bench.trials.child import worker_environment
from feedbench.loaders import Manifest
from feedbench.trainer.checkpoint import CHECKPOINT

STUDY, MANIFEST, RUNS, FAILED = "study.toml", "manifest.parquet", "runs", "failed.json"
_PATIENCE_S = 60.0  # for a training that is told to keep where it stands
Report = Callable[[Run, dict[str, Any]], None]


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
            report(run, {"event": "known"})
            continue
        home.mkdir(parents=True, exist_ok=True)
        resume = (home / CHECKPOINT).exists() and (home / RECIPE).exists()
        order = {
            "best": run.best.model_dump(mode="json", exclude_none=True),
            "recipe": run.recipe.model_dump(mode="json"),
            "manifest": str((folder / MANIFEST).absolute()),
            "folder": str(home.absolute()),
            "resume": resume,
        }
        report(run, {"event": "begun", "resumed": resume})
        said = _train(order, home / "train.log", partial(report, run))
        if said is not None:
            write_text(home / FAILED, json.dumps({"reason": said}) + "\n")
            report(run, {"event": "failed", "reason": said})


def failure(folder: Path, run: Run) -> str | None:
    """Why a training failed, if it did."""
    path = folder / RUNS / run.name / FAILED
    reason: str | None = json.loads(path.read_text())["reason"] if path.exists() else None
    return reason


def _train(
    order: dict[str, Any], log: Path, report: Callable[[dict[str, Any]], None]
) -> str | None:
    """Why it failed; None if it did not."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "feedbench.bench.study.worker"],
            env=worker_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        return _answered(process, order, log, report)
    except KeyboardInterrupt:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _answered(
    process: subprocess.Popen[str],
    order: dict[str, Any],
    log: Path,
    report: Callable[[dict[str, Any]], None],
) -> str | None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if answer["event"] == "error":
            return str(answer["reason"])
        report(answer)
        if answer["event"] == "done":
            return None
        if answer["event"] == "stopped":
            raise KeyboardInterrupt
    return f"its process ended with exit code {process.wait()}; see {log}"
