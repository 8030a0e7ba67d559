"""An own model whose train_step raises: the commands that take no loader show where."""

import re
import sys

import pytest

from feedbench.bench.cli import main

MODEL = """\
import keras
from keras import layers


class Unready(keras.Sequential):
    def train_step(self, data):
        raise ValueError("no step today")


def build(classes):
    parts = [keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(classes)]
    model = Unready([*parts, layers.Softmax()])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
"""
SIZES = ("--min", 8, "--max", 16, "--seconds", 0.1)
BLOCKS = ("--blocks", 1, "--block-seconds", 0.05, "--batch-size", 8, "--classes", 2, "--out", "out")


@pytest.mark.parametrize("command", ["batch-size", "calibrate"])
def test_an_error_in_the_steps_of_a_model_is_shown_without_ours(
    tiny_photos, tmp_path, monkeypatch, capsys, command
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEEDBENCH_CONFIG", str(tmp_path))
    (tmp_path / "net.py").write_text(MODEL)
    words = {"batch-size": (tiny_photos, *SIZES), "calibrate": ("mine", *BLOCKS)}[command]
    arguments = ["feedbench", command, *map(str, words), "--model", "net.py:build"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    trace, _, last = capsys.readouterr().err.rstrip().rpartition("\n")
    assert re.search(r"net\.py, line 7, in train_step: ValueError: no step today", last)
    assert 'raise ValueError("no step today")' in trace
    assert "feedbench/bench" not in trace
