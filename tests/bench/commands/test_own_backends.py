"""Commands with an own model and an own pipeline, under each backend of Keras."""

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest

from feedbench.bench.trials_file import read_trials

MODEL = """
    import keras
    from keras import layers

    def build(image_size, classes):
        images = keras.Input((image_size, image_size, 3))
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(images))
        model = keras.Model(images, layers.Dense(classes, activation="softmax")(x))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model
    """
FEED = """
    import numpy as np

    def make(split, batch_size, image_size, classes, wide=False):
        labels = np.arange(batch_size) % len(classes)
        side = image_size + 8 * wide
        for _ in range(6):
            yield np.ones((batch_size, side, side, 3), np.float32), labels
    """
OWN = ("--model", "net.py:build", "--image-size", 16)
SHORT = ("--blocks", 1, "--block-seconds", 0.1)
pytestmark = [
    pytest.mark.guests("jax", "torch"),
    pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"]),
]


@pytest.fixture
def feedbench(tmp_path, monkeypatch, backend):
    """Runs a command beside `net.py` and `feed.py`; returns what it printed."""
    (tmp_path / "net.py").write_text(dedent(MODEL))
    (tmp_path / "feed.py").write_text(dedent(FEED))
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "KERAS_BACKEND": backend, "FEEDBENCH_CONFIG": str(tmp_path)}

    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "feedbench.bench.cli", *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_a_bench_and_the_training_of_its_winner(feedbench, backend, tiny_photos, tmp_path):
    chosen = ("--loader", "feed.py:make", "--loader", "turbo", *OWN, "--batch-size", 4)
    feedbench("bench", tiny_photos, *chosen, *SHORT, "--warm-up-seconds", 0, "--out", "bench")
    trials = read_trials(tmp_path / "bench")
    assert [trial.error for trial in trials if trial.error] == []
    environment = json.loads((tmp_path / "bench" / "environment.json").read_text())
    assert environment["keras_backend"] == backend
    feedbench("train", tiny_photos, "--loader", "bench", *OWN[:2], "--epochs", 1, "--out", "train")
    assert (tmp_path / "train" / "model.keras").exists()


def test_sizes_and_profiles(feedbench, backend, tiny_photos, tmp_path):
    sizes = ("--min", 4, "--max", 4, "--seconds", 0.1)
    assert "4  fits" in feedbench("batch-size", tiny_photos, *OWN, *sizes)
    said = feedbench("calibrate", "mine", *OWN, "--batch-size", 4, *SHORT, "--classes", 2)
    assert "Saved as mine" in " ".join(said.split())


def test_batches_that_do_not_fit_are_one_line(feedbench, backend, tiny_photos):
    wide = ("--loader", "feed.py:make", "--set", "make.wide=True", "--batch-size", 4)
    *_, last = feedbench("bench", tiny_photos, *OWN, *wide, code=2).splitlines()
    assert last.startswith("feedbench: feed.py, line 4: make gives images that are float32 [4, 24,")
