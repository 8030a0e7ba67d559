"""What a training is given before TensorFlow is imported."""

import os

import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.commands.run_training import train_with_progress
from feedbench.bench.training.options import TrainingOptions
from feedbench.loaders import SourceError, scan
from feedbench.trainer import Recipe


def test_a_training_sees_the_gpu_that_it_uses_and_takes_its_memory_as_needed(
    tiny_photos, tmp_path, monkeypatch
):
    variables = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")
    for name in variables:
        monkeypatch.setenv(name, "")  # and so restored in the end
        monkeypatch.delenv(name)
    only = {"CUDA_VISIBLE_DEVICES": "GPU-1"}
    monkeypatch.setattr("feedbench.bench.trials.child.gpu_environment", lambda: only)
    without_validation = scan(tiny_photos).only("train")
    arguments = (Recipe(), without_validation, tmp_path, TrainingOptions(), "again")
    with pytest.raises(SourceError, match="no images in the validation split"):
        train_with_progress(Best(loader="turbo"), *arguments)
    assert [os.environ[name] for name in variables] == ["GPU-1", "true"]
