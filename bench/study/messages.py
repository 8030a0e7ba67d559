"""What the process of one training of a study is sent, and what it answers."""

from __future__ import annotations

from pathlib import Path

from feedbench.bench.analysis.best import Best
from feedbench.bench.trials.messages import Failed, Message, Service
from feedbench.trainer import Recipe
from feedbench.trainer.history import Epoch


class TrainingJob(Message):
    """Train in a folder, or resume what was begun there."""

    best: Best
    recipe: Recipe
    manifest: Path
    folder: Path
    resume: bool


class EpochDone(Message):
    """An epoch is trained and validated."""

    epoch: Epoch


class Stopped(Message):
    """The training was asked to stop, and has kept where it stands."""


class Trained(Message):
    """The training is at its end."""

    test_accuracy: float


STUDY_WORKER = Service("feedbench.bench.study.worker", (EpochDone, Stopped, Trained))


class Known(Message):
    """A training was finished or had failed before; nothing is sent to any process."""


class Begun(Message):
    """A training's process is about to start."""

    resumed: bool


Event = Known | Begun | EpochDone | Trained | Failed
