"""The messages between a study and the process of one of its trainings, and the study's events."""

from __future__ import annotations

from pathlib import Path

from feedbench.bench.analysis.best import Best
from feedbench.bench.plan.plan import Failures
from feedbench.bench.trials.protocol import Failed, Message, Service
from feedbench.trainer import Epoch, Recipe


class TrainingJob(Message):
    """Train in a folder, or resume the training there."""

    best: Best
    recipe: Recipe
    manifest: Path
    folder: Path
    resume: bool
    failures: Failures


class EpochDone(Message):
    """An epoch is trained and validated."""

    epoch: Epoch


class TrainingStopped(Message):
    """The training was asked to stop, and has saved a checkpoint."""


class TrainingDone(Message):
    """The training is finished and tested."""

    test_accuracy: float


STUDY_WORKER = Service("feedbench.bench.study.worker", (EpochDone, TrainingStopped, TrainingDone))


class Skipped(Message):
    """A training is not run, since it was finished or had failed before."""


class Starting(Message):
    """A training is about to start in a new process."""

    resumed: bool


Event = Skipped | Starting | EpochDone | TrainingDone | Failed
