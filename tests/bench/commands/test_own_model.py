"""Commands with --model: each runs to its end with a small model of the user's own."""

import json
import sys
from textwrap import dedent
from types import SimpleNamespace

import pytest

from feedbench.bench.cli import main
from feedbench.bench.commands import diagnose, tune
from feedbench.bench.consumers.own_model import ModelFile
from feedbench.bench.trials import model_facts, model_worker
from feedbench.bench.trials.model_facts import ModelFacts, ModelJob
from feedbench.bench.trials_file import read_trials
from feedbench.trainer import Recipe, TrainerError

MODEL = """
    import keras
    from keras import layers

    def build(classes):
        print("built")
        model = keras.Sequential([
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes, activation="softmax"),
        ])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def wrong():
        raise ValueError("not today")

    def seven():
        return build(7)
    """


@pytest.fixture
def beside(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(dedent(MODEL))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


SMALL = ("--model", "net.py:build", "--batch-size", 8)
BLOCKS = ("--blocks", 1, "--block-seconds", 0.05)


def test_a_bench_trains_the_own_model_at_the_size_that_it_takes(
    beside, tiny_photos, monkeypatch, capsys
):
    arguments = (*SMALL, *BLOCKS, "--warm-up-seconds", 0, "--image-size", 40, "--out", "out")
    assert call(monkeypatch, "bench", tiny_photos, "--loader", "tf_data", *arguments) == 0
    output = capsys.readouterr().out
    line = "Images of 16 px: net.py:build takes no others; --image-size 40 is not used."
    assert line in output
    assert "the trainer with net.py:build" in output
    for trial in read_trials(beside / "out"):
        assert trial.error is None
        assert trial.model["file"] == str(beside / "net.py")
        assert trial.spec["image_size"] == 16


@pytest.fixture
def sixteen(monkeypatch):
    """The model takes 16 px, as the process that builds it would say."""
    origin = ModelFile(file="net.py", sha256="0")
    facts = ModelFacts(origin=origin, image_size=16, compiled=True)
    monkeypatch.setattr(model_facts, "model_facts", lambda *_, **__: facts)


@pytest.mark.parametrize(
    ("command", "module", "run"),
    [("diagnose", diagnose, "run_diagnosis"), ("tune", tune, "run_tune")],
)
def test_diagnoses_and_searches_train_the_own_model(
    beside, tiny_photos, monkeypatch, sixteen, command, module, run
):
    plans = []
    monkeypatch.setattr(module, run, lambda plan, *_, **__: plans.append(plan))
    arguments = (*SMALL, "--loader", "tf_data", "--out", "out")
    assert call(monkeypatch, command, tiny_photos, *arguments) == 0
    assert (plans[0].recipe.network, plans[0].spec.image_size) == ("net.py:build", 16)


def test_batch_sizes_are_tried_with_the_own_model(beside, tiny_photos, monkeypatch):
    arguments = ("--model", "net.py:build", "--min", 8, "--max", 8, "--seconds", 0.1)
    assert call(monkeypatch, "batch-size", tiny_photos, *arguments, "--json", "sizes.json") == 0
    assert json.loads((beside / "sizes.json").read_text())["largest"] == 8


def test_a_profile_is_calibrated_with_the_own_model(beside, monkeypatch):
    monkeypatch.setenv("FEEDBENCH_CONFIG", str(beside))
    arguments = (*SMALL, *BLOCKS, "--classes", 3, "--json", "profile.json", "--out", "out")
    assert call(monkeypatch, "calibrate", "mine", *arguments) == 0
    profile = json.loads((beside / "profile.json").read_text())
    assert (profile["network"], profile["alpha"]) == ("net.py:build", None)
    assert profile["image_size"] == 16


def test_a_model_that_does_not_fit_the_classes_ends_the_command_before_any_trial(
    beside, tiny_photos, monkeypatch, capsys
):
    arguments = ("--loader", "turbo", "--model", "net.py:seven", "--out", "out")
    assert call(monkeypatch, "bench", tiny_photos, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("feedbench: net.py, line 19: seven returned a model with 7 outputs, and")
    assert not (beside / "out").exists()


def test_batches_of_ones_own_need_not_have_the_classes_of_the_data(beside, monkeypatch):
    monkeypatch.setattr(model_worker, "leave_gpu_to_backend", lambda: None)
    answers = []
    recipe = Recipe(network="net.py:seven")
    job = ModelJob(recipe=recipe, image_size=16, classes=2, own_batches=True)
    model_worker.describe(job, SimpleNamespace(answer=answers.append))
    assert [facts.image_size for facts in answers] == [16]
    with pytest.raises(TrainerError, match="7 outputs, and the data has 2 classes"):
        model_worker.describe(job.model_copy(update={"own_batches": False}), None)


def test_a_model_that_fails_ends_the_command_before_any_trial(
    beside, tiny_photos, monkeypatch, capsys
):
    arguments = ("--model", "net.py:wrong", "--out", "out")
    assert call(monkeypatch, "bench", tiny_photos, *arguments) == 2
    errors = capsys.readouterr().err
    assert 'raise ValueError("not today")' in errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("feedbench: net.py, line 17, in wrong: ValueError: not today")
    assert not (beside / "out").exists()
