"""The process of one training of a study."""

from __future__ import annotations

from typing import Any

from feedbench.bench.errors import PlanError
from feedbench.bench.signals import stop_on_termination
from feedbench.bench.study.messages import EpochDone, TrainingDone, TrainingJob, TrainingStopped
from feedbench.bench.training.callbacks import Callbacks
from feedbench.bench.training.folder import claimed
from feedbench.bench.training.options import TrainingOptions
from feedbench.bench.training.train import train
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import Manifest
from feedbench.trainer import TrainingStopped as StoppedByRequest


def train_one(job: TrainingJob, channel: Channel) -> None:
    """Train, and answer with a message for each epoch and one at the end."""
    with claimed(job.folder), stop_on_termination() as should_stop:
        try:
            result = train(
                job.best,
                job.recipe,
                Manifest.read(job.manifest),
                job.folder,
                callbacks=Callbacks(
                    on_epoch=lambda epoch: channel.answer(EpochDone(epoch=epoch)),
                    should_stop=should_stop,
                ),
                options=TrainingOptions(
                    failures=job.failures, tensorboard=False, resume=job.resume
                ),
            )
        except StoppedByRequest:
            channel.answer(TrainingStopped())
        else:
            assert result is not None  # as on the chief of several workers
            channel.answer(TrainingDone(test_accuracy=_accuracy(job, result)))


def _accuracy(job: TrainingJob, result: dict[str, Any]) -> float:
    if "accuracy" not in result["test"]:
        raise PlanError(
            f"a study compares accuracies, and {job.recipe.network} has no such metric; compile "
            "it with one"
        )
    return float(result["test"]["accuracy"])


if __name__ == "__main__":
    serve(TrainingJob, train_one)
