"""The child process of one training of a study."""

from __future__ import annotations

from feedbench.bench.signals import stop_on_sigterm
from feedbench.bench.study.messages import EpochDone, Stopped, Trained, TrainingJob
from feedbench.bench.training.train import Keep, Watch, train
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import Manifest
from feedbench.trainer.fit import TrainingStopped


def train_one(job: TrainingJob, channel: Channel) -> None:
    """Train, with an answer for each epoch and the end."""
    with stop_on_sigterm() as stop:
        watch = Watch(
            on_start=lambda position: None,
            on_epoch=lambda epoch: channel.answer(EpochDone(epoch=epoch)),
            on_step=lambda step: None,
            stop=stop,
        )
        try:
            result = train(
                job.best,
                job.recipe,
                Manifest.read(job.manifest),
                job.folder,
                watch=watch,
                keep=Keep(tensorboard=False),
                resume=job.resume,
            )
        except TrainingStopped:
            channel.answer(Stopped())
        else:
            channel.answer(Trained(test_accuracy=result["test"]["accuracy"]))


if __name__ == "__main__":
    serve(TrainingJob, train_one)
