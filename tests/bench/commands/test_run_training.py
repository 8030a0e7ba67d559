"""What a training is given before TensorFlow is imported."""

import os
from contextlib import nullcontext

import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.commands.run_training import _callbacks, train_with_progress
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


def test_a_function_of_an_installed_package_is_watched_as_that_of_a_file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def make(): ...")
    (tmp_path / "mine-1.0.dist-info").mkdir()
    entry = "[feedbench.loaders]\nfast = mine:make\n"
    (tmp_path / "mine-1.0.dist-info" / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    watched = []
    monkeypatch.setattr(
        "feedbench.bench.training.watch.hangs_told", lambda *_: nullcontext(watched.append(1))
    )
    for loader, count in (("turbo", 0), ("fast", 1), (f"{tmp_path / 'mine.py'}:make", 2)):
        with _callbacks(Best(loader=loader), Recipe(), 8, tmp_path, "", TrainingOptions()):
            assert len(watched) == count
