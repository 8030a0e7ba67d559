"""compare on real trainings, and predictions by their saved models."""

import json
import sys
import tomllib

import numpy as np
import pytest
from PIL import Image
from short_network import NAME

from feedbench.bench.analysis.stats import wilson
from feedbench.bench.cli import main
from feedbench.bench.training.compare import (
    compare_training,
    is_within,
    mcnemar,
    paired_difference,
)
from feedbench.bench.training.predict import load_classifier
from feedbench.trainer import Recipe


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


OPTIONS = ["--batch-size", "8", "--image-size", "32", "--no-flip"]
NETWORK = f"network = '{NAME}'\nalpha = 0.25\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_photos, short_network):
    """Folders of a training from scratch, and of a fine-tuning of its model in two phases."""
    folder, patch = tmp_path_factory.mktemp("runs"), pytest.MonkeyPatch()
    scratch, tuned = folder / "scratch", folder / "tuned"
    recipe, first = folder / "tune.toml", folder / "scratch.toml"
    first.write_text(NETWORK)
    recipe.write_text(
        f"{NETWORK}epochs = 2\nfrozen_epochs = 1\nfine_tune_layers = 12\n"
        f"weights = '{scratch / 'model.keras'}'\n"
    )
    from_scratch = [
        "--recipe",
        first,
        "--epochs",
        3,
        "--base-learning-rate",
        0.4,
        "--profile",
        "2-3",
    ]
    assert call(patch, "train", tiny_photos, *OPTIONS, *from_scratch, "--out", scratch) == 0
    assert call(patch, "train", tiny_photos, *OPTIONS, "--recipe", recipe, "--out", tuned) == 0
    patch.undo()
    return scratch, tuned


def test_two_trainings_are_compared_image_by_image(monkeypatch, capsys, tmp_path, runs):
    path = tmp_path / "comparison.json"
    assert call(monkeypatch, "compare", *runs, "--json", path) == 0
    (change,) = json.loads(path.read_text())["trainings"]
    compared = change["accuracy"]
    assert compared["images"] == 8
    accuracy = json.loads((runs[0] / "training.json").read_text())["test"]["accuracy"]
    assert compared["first"]["accuracy"]["value"] == pytest.approx(accuracy)
    assert compared["first"]["recall"].keys() == {"circle", "square"}
    assert compared["second"]["images_per_second"] > 0
    assert "model.keras" in compared["second"]["description"]
    output = " ".join(capsys.readouterr().out.split())
    assert "accuracy within 1 % absolute: cannot tell" in output
    assert "McNemar" in output
    assert "differs: frozen_epochs 0 against 1" in output


def test_trainings_with_different_test_images_are_refused(monkeypatch, capsys, tmp_path, runs):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("training.json", "predictions.csv"):
        (other / name).write_text((runs[1] / name).read_text())
    lines = (other / "predictions.csv").read_text().splitlines()
    (other / "predictions.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert call(monkeypatch, "compare", runs[0], other) == 2
    error = capsys.readouterr().err
    assert "the test images differ: test/square/3.jpg is missing" in error
    assert call(monkeypatch, "compare", runs[0], other, "--allow-different", "data") == 0
    assert "accuracy is not compared" in " ".join(capsys.readouterr().out.split())
    (other / "predictions.csv").unlink()
    assert call(monkeypatch, "compare", runs[0], other) == 0
    assert "no predictions.csv" in " ".join(capsys.readouterr().out.split())


def test_intervals_and_p_values_match_hand_calculations():
    proportion = wilson(8, 10)
    assert (proportion.low, proportion.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
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
def test_within_one_percent_is_yes_no_or_cannot_tell(only_first, only_second, images, within):
    difference = paired_difference(only_second, only_first, images)
    assert is_within(difference, mcnemar(only_first, only_second)) is within


def test_agreement_on_few_images_proves_nothing():
    assert is_within(paired_difference(0, 0, 20), 1.0) is None
    assert is_within(paired_difference(0, 0, 2_000), 1.0) is True


def test_a_training_does_not_differ_from_itself(runs):
    compared = compare_training(runs[0], runs[0])
    assert compared.difference.value == 0
    assert (compared.only_first, compared.only_second, compared.p_value) == (0, 0, 1)


def test_a_saved_model_predicts_as_at_the_end_of_its_training(runs, tiny_photos):
    classifier = load_classifier(runs[0] / "model.keras")
    lines = (runs[0] / "predictions.csv").read_text().splitlines()[1:]
    for line in lines:
        path, _, predicted, probability = line.split(",")
        (prediction,) = classifier.predict([str(tiny_photos / path)])
        assert prediction.predicted == predicted
        assert prediction.probability == pytest.approx(float(probability), abs=0.05)


def test_an_unreadable_file_is_reported_and_the_others_are_predicted(
    monkeypatch, capfd, tmp_path, runs
):
    good, bad, out = tmp_path / "good.webp", tmp_path / "bad.jpg", tmp_path / "out.json"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(good)
    bad.write_bytes(b"text")
    model = runs[0] / "best.keras"
    assert call(monkeypatch, "predict", model, bad, good, "--json", out) == 0
    captured = capfd.readouterr()
    assert captured.out.startswith(f"{good}: ")
    assert captured.err.count("\n") == 1
    assert str(bad) in captured.err
    assert [line["predicted"] is None for line in json.loads(out.read_text())] == [True, False]
    assert call(monkeypatch, "predict", model, bad) == 1
    assert call(monkeypatch, "predict", bad, good) == 2
    assert "not a .keras file" in capfd.readouterr().err


def test_scalars_and_profile_are_written_for_tensorboard(runs):
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


def test_a_profile_whose_last_step_is_before_the_first_is_refused(monkeypatch, capsys, tiny_photos):
    assert call(monkeypatch, "train", tiny_photos, "--profile", "9-3") == 2
    assert "FIRST-LAST" in capsys.readouterr().err


def test_the_printed_recipe_is_the_default(monkeypatch, capsys):
    assert call(monkeypatch, "recipe") == 0
    printed = tomllib.loads(capsys.readouterr().out)
    assert Recipe.model_validate(printed) == Recipe()
    assert printed.keys() == Recipe.model_fields.keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alfa = 1", "'alfa'"),
        ("schedule = 'linear'", "schedule"),
        ("network = 'NetV2'", "no 'NetV2'"),
        ("not toml", "not TOML"),
        ("weights = 'none.keras'", "no such file"),
    ],
)
def test_an_invalid_recipe_is_refused_in_one_line(
    monkeypatch, capsys, tmp_path, tiny_photos, text, message
):
    recipe = tmp_path / "wrong.toml"
    recipe.write_text(text)
    arguments = ["--recipe", recipe, *OPTIONS, "--out", tmp_path / "run"]
    assert call(monkeypatch, "train", tiny_photos, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
