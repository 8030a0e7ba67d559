"""Two trainings side by side, and what a saved model says of files."""

import json
import sys
import tomllib

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.cli import main
from feedbench.bench.training.compare import (
    compare_training,
    is_within,
    mcnemar,
    paired_difference,
    wilson,
)
from feedbench.bench.training.predict import load_classifier
from feedbench.trainer import Recipe


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


OPTIONS = ["--batch-size", "8", "--image-size", "32", "--alpha", "0.35", "--no-flip"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_photos):
    """A run from scratch, and one fine-tuned from it with a frozen phase; TensorBoard and all."""
    folder, patch = tmp_path_factory.mktemp("runs"), pytest.MonkeyPatch()
    scratch, tuned = folder / "scratch", folder / "tuned"
    recipe = folder / "tune.toml"
    recipe.write_text(
        "epochs = 2\nfrozen_epochs = 1\nfine_tune_layers = 30\nalpha = 0.35\n"
        f"weights = '{scratch / 'model.keras'}'\n"
    )
    one = ["--epochs", 3, "--base-learning-rate", 0.4, "--profile", "2-3", "--out", scratch]
    other = ["--recipe", recipe, "--out", tuned]
    assert call(patch, "train", tiny_photos, *OPTIONS, *one) == 0
    assert call(patch, "train", tiny_photos, *OPTIONS, *other) == 0
    patch.undo()
    return scratch, tuned


def test_two_runs_are_compared_image_by_image(monkeypatch, capsys, tmp_path, runs):
    told = tmp_path / "told.json"
    assert call(monkeypatch, "compare-training", *runs, "--json", told) == 0
    compared = json.loads(told.read_text())
    assert compared["images"] == 8
    accuracy = json.loads((runs[0] / "training.json").read_text())["test"]["accuracy"]
    assert compared["first"]["accuracy"]["value"] == pytest.approx(accuracy)
    assert compared["first"]["recall"].keys() == {"circle", "square"}
    assert compared["second"]["images_per_second"] > 0
    assert "model.keras" in compared["second"]["description"]
    shown = capsys.readouterr().out
    assert "within 1 % absolute: cannot tell" in shown
    assert "McNemar" in shown


def test_other_test_images_are_refused(monkeypatch, capsys, tmp_path, runs):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("training.json", "predictions.csv"):
        (other / name).write_text((runs[1] / name).read_text())
    lines = (other / "predictions.csv").read_text().splitlines()
    (other / "predictions.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert call(monkeypatch, "compare-training", runs[0], other) == 2
    error = capsys.readouterr().err
    assert "test images differ: it has no test/square/3.jpg" in error
    assert call(monkeypatch, "compare-training", runs[0], tmp_path) == 2
    assert "predictions.csv" in capsys.readouterr().err


def test_intervals_and_p_are_those_of_the_textbook():
    share = wilson(8, 10)  # Source: Wilson's formula by hand
    assert (share.low, share.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert mcnemar(0, 0) == 1
    assert mcnemar(6, 0) == pytest.approx(2 * 0.5**6)


@pytest.mark.parametrize(
    ("only_first", "only_second", "images", "within"),
    [
        (5, 5, 100_000, True),
        (400, 0, 2_000, False),
        (0, 400, 2_000, False),
        (4, 4, 100, None),
        (0, 4, 8, None),
    ],
)
def test_within_a_percent_is_yes_no_or_cannot_tell(only_first, only_second, images, within):
    difference = paired_difference(only_first, only_second, images)
    assert is_within(difference, mcnemar(only_first, only_second)) is within


def test_runs_that_agree_on_few_images_prove_nothing():
    assert is_within(paired_difference(0, 0, 20), 1.0) is None
    assert is_within(paired_difference(0, 0, 2_000), 1.0) is True


def test_the_same_run_twice_differs_by_nothing(runs):
    compared = compare_training(runs[0], runs[0])
    assert compared.difference.value == 0
    assert (compared.only_first, compared.only_second, compared.p_value) == (0, 0, 1)


def test_predictions_of_files_are_those_of_the_training(runs, tiny_photos):
    classifier = load_classifier(runs[0] / "model.keras")
    lines = (runs[0] / "predictions.csv").read_text().splitlines()[1:]
    for line in lines:
        path, _, predicted, probability = line.split(",")
        (said,) = classifier([str(tiny_photos / path)])
        assert said.predicted == predicted
        assert said.probability == pytest.approx(float(probability), abs=0.05)


def test_a_bad_file_is_named_and_the_rest_goes_on(monkeypatch, capsys, tmp_path, runs):
    good, bad, told = tmp_path / "good.webp", tmp_path / "bad.jpg", tmp_path / "told.json"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(good)
    bad.write_bytes(b"text")
    model = runs[0] / "best.keras"
    assert call(monkeypatch, "predict", model, bad, good, "--json", told) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{good}: ")
    assert said.err.count("\n") == 1
    assert str(bad) in said.err
    assert [line["predicted"] is None for line in json.loads(told.read_text())] == [True, False]
    assert call(monkeypatch, "predict", model, bad) == 1
    assert call(monkeypatch, "predict", bad, good) == 2
    assert "not a .keras file" in capsys.readouterr().err


def test_tensorboard_and_its_profiler_have_their_files(runs):
    import tensorflow as tf

    logs = runs[0] / "tensorboard"
    (events,) = logs.glob("events.*")
    tags = [
        value.tag
        for record in tf.data.TFRecordDataset(str(events))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    ]
    assert tags.count("loss/train") == 3
    assert tags.count("epoch/images_per_second") == 3
    assert list(logs.rglob("*.xplane.pb"))


def test_a_profile_that_is_no_window_is_refused(monkeypatch, capsys, tiny_photos):
    assert call(monkeypatch, "train", tiny_photos, "--profile", "9-3") == 2
    assert "FIRST-LAST" in capsys.readouterr().err


def test_the_printed_recipe_is_the_default_one(monkeypatch, capsys):
    assert call(monkeypatch, "recipe") == 0
    printed = tomllib.loads(capsys.readouterr().out)
    assert Recipe.model_validate(printed) == Recipe()
    assert printed.keys() == Recipe.model_fields.keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alfa = 1", "'alfa'"),
        ("schedule = 'linear'", "schedule"),
        ("network = 'NetV2'", "no 'NetV2'"),
        ("not toml", "not TOML"),
        ("weights = 'none.keras'", "no such file"),
    ],
)
def test_a_wrong_recipe_is_one_line(monkeypatch, capsys, tmp_path, tiny_photos, text, said):
    recipe = tmp_path / "wrong.toml"
    recipe.write_text(text)
    arguments = ["--recipe", recipe, *OPTIONS, "--out", tmp_path / "run"]
    assert call(monkeypatch, "train", tiny_photos, *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
