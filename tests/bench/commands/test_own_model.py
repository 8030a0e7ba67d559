"""Commands with --model: each runs to its end with a small model of the user's own."""

import json
import re
import sys
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

from feedbench.bench.cli import main
from feedbench.bench.commands import calibrate, diagnose, tune
from feedbench.bench.consumers.own_model import ModelFile
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials import model_facts, model_worker
from feedbench.bench.trials.model_facts import FirstBatches, ModelFacts, ModelJob
from feedbench.bench.trials_file import read_trials
from feedbench.loaders import BatchSpec, scan
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

    def frozen(classes):
        model = build(classes)
        model.trainable = False
        return model

    def uncompiled(classes):
        model = build(classes)
        return keras.Model(model.inputs, model.outputs)

    def anysize(classes):
        inputs = keras.Input((None, None, 3))
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
        return keras.Model(inputs, layers.Dense(classes)(x))

    def first_axis(classes):
        inputs = keras.Input((3, 16, 16))
        return keras.Model(inputs, layers.Dense(classes)(layers.Flatten()(inputs)))

    def compiled_for_one_hot(classes):
        model = build(classes)
        model.compile("sgd", "categorical_crossentropy")
        return model

    def pair(classes):
        image, side = keras.Input((16, 16, 3)), keras.Input((1,))
        x = layers.Concatenate()([layers.Flatten()(image), side])
        return keras.Model([image, side], layers.Dense(classes)(x))

    class Subclass(keras.Model):
        def call(self, images):
            return images

    def subclass():
        return Subclass()
    """
FEED = """\
import time

import numpy as np


def batches(*shape):
    for _ in range(3):
        yield np.zeros((4, *shape), np.float32), np.zeros(4, np.int32)


def fitting(image_size):
    return batches(image_size, image_size, 3)


def ignoring():
    return batches(9, 9, 3)


def first(image_size):
    return batches(3, image_size, image_size)


def two(image_size):
    for images, labels in batches(image_size, image_size, 3):
        yield (images, np.zeros((4, 1), np.float32)), labels


def wide(image_size):
    for images, _ in batches(image_size, image_size, 3):
        yield images, np.ones((4, 7), np.float32)


def failing():
    raise ValueError("not today")


def hanging():
    time.sleep(600)
"""
LINES = {
    name: FEED.split(f"def {name}(")[0].count("\n") + 1 for name in ("ignoring", "first", "wide")
}


@pytest.fixture
def beside(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(dedent(MODEL))
    (tmp_path / "feed.py").write_text(FEED)
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
    monkeypatch.setitem(calibrate._TIMING, "warm_up_seconds", 0)
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


def described(monkeypatch, tiny_photos, network, *loaders):
    """The facts and the fault that a process answers which builds the model."""
    monkeypatch.setattr(model_worker, "leave_gpu_to_backend", lambda: None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec, manifest = BatchSpec(batch_size=4, image_size=16), scan(tiny_photos).only("train")
    path, answers = Path("manifest.parquet"), []
    manifest.write(path)
    own = [Choice(loader=loader) for loader in loaders if ":" in loader]
    others = {loader for loader in loaders if ":" not in loader}
    request = FirstBatches(manifest=path, spec=spec, choices=own)
    channel = SimpleNamespace(answer=answers.append, requests=lambda _: [request])
    recipe = Recipe(network=f"net.py:{network}")
    job = ModelJob(
        recipe=recipe, image_size=16, classes=len(manifest.classes), images=bool(others),
        made_up=others <= {"synthetic"},
    )  # fmt: skip
    try:
        model_worker.describe(job, channel)
    finally:
        for module in ("net", "feed"):
            sys.modules.pop(module, None)
    facts, compared = answers
    return facts, compared.fault


def test_batches_of_ones_own_need_not_have_the_classes_of_the_data(
    beside, tiny_photos, monkeypatch
):
    facts, fault = described(monkeypatch, tiny_photos, "seven", "feed.py:fitting")
    assert (facts.image_size, fault) == (16, "")
    with pytest.raises(TrainerError, match="7 outputs, and the data has 2 classes"):
        described(monkeypatch, tiny_photos, "seven", "feed.py:fitting", "turbo")


def test_a_model_without_trainable_weights_is_refused_before_anything_is_measured(
    beside, tiny_photos, monkeypatch
):
    with pytest.raises(TrainerError, match="frozen returned a model without trainable weights"):
        described(monkeypatch, tiny_photos, "frozen", "turbo")


@pytest.mark.parametrize(
    ("network", "loader", "given", "taken"),
    [
        ("build", "ignoring", "float32 [4, 9, 9, 3]", "[batch, 16, 16, 3]"),
        ("build", "first", "float32 [4, 3, 16, 16]", "[batch, 16, 16, 3]"),
        ("anysize", "first", "float32 [4, 3, 16, 16]", "[batch, any, any, 3]"),
        ("uncompiled", "ignoring", "float32 [4, 9, 9, 3]", "[batch, 16, 16, 3]"),
    ],
)
def test_a_batch_that_the_model_cannot_take_is_noticed_as_it_is_built(
    beside, tiny_photos, monkeypatch, network, loader, given, taken
):
    _, fault = described(monkeypatch, tiny_photos, network, f"feed.py:{loader}")
    assert fault.startswith(
        f"feed.py, line {LINES[loader]}: {loader} gives images that are {given}"
    )
    assert f"; the model takes {taken}; change these, or the model (net.py, line " in fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("build", "wide gives labels that are float32 [4, 7]; the model's loss does not take them"),
        ("compiled_for_one_hot", "wide gives labels that are float32 [4, 7]; the model's loss"),
        ("uncompiled", "uncompiled returned a model that is not compiled, and no loss follows"),
    ],
)
def test_labels_that_the_loss_cannot_take_are_noticed_as_it_is_built(
    beside, tiny_photos, monkeypatch, network, said
):
    _, fault = described(monkeypatch, tiny_photos, network, "feed.py:wide")
    assert said in fault
    assert re.match(r"(feed|net)\.py, line \d+: ", fault)
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("network", "loader"),
    [("build", "fitting"), ("anysize", "ignoring"), ("pair", "two"), ("subclass", "first")],
)
def test_a_batch_that_fits_or_of_which_nothing_is_known_is_left_to_the_trial(
    beside, tiny_photos, monkeypatch, network, loader
):
    assert described(monkeypatch, tiny_photos, network, f"feed.py:{loader}")[1] == ""


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (
            "first_axis",
            r"inputs of shape \(None, 3, 16, 16\), and .* \(batch, height, width, 3\)",
        ),
        ("pair", "2 inputs, and a loader of Feedbench gives one"),
    ],
)
def test_a_model_that_takes_no_images_of_feedbench_is_noticed_as_it_is_built(
    beside, tiny_photos, monkeypatch, network, said
):
    with pytest.raises(TrainerError, match=rf"^net\.py, line \d+: {network} returned .*{said}"):
        described(monkeypatch, tiny_photos, network, "turbo")


def test_several_inputs_may_be_made_up(beside, tiny_photos, monkeypatch):
    assert described(monkeypatch, tiny_photos, "pair", "feed.py:two", "synthetic")[1] == ""


def test_other_batches_than_the_model_takes_end_the_command_before_any_trial(
    beside, tiny_photos, monkeypatch, capsys
):
    arguments = ("--loader", "feed.py:ignoring", "--out", "out")
    assert call(monkeypatch, "bench", tiny_photos, *SMALL, *arguments) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"feedbench: feed.py, line {LINES['ignoring']}: ignoring gives")
    assert not (beside / "out").exists()


def test_a_loader_that_fails_or_hangs_is_left_to_its_trial(beside, tiny_photos, monkeypatch):
    monkeypatch.setattr(model_facts, "_FIRST_BATCHES_S", 0.5)
    manifest = scan(tiny_photos).only("train")
    for loader in ("failing", "hanging"):
        facts = model_facts.model_facts(
            Recipe(network="net.py:build"), BatchSpec(batch_size=4, image_size=16), 2,
            [Choice(loader=f"feed.py:{loader}")], manifest,
        )  # fmt: skip
        assert facts.image_size == 16


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
