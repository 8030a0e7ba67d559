"""Trainings of a user's own model: files, resuming, and a file that was changed meanwhile."""

import csv
import importlib
import json
import os
import sys
from textwrap import dedent

import keras
import numpy as np
import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.errors import PlanError, RecordError
from feedbench.bench.training.callbacks import Callbacks
from feedbench.bench.training.folder import RECIPE
from feedbench.bench.training.options import CheckpointPolicy, TrainingOptions
from feedbench.bench.training.predict import load_classifier, read_pixels
from feedbench.bench.training.train import train
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import CheckpointError, Recipe, TrainingStopped

MODEL = """
    import keras
    from keras import layers

    class Mixup(keras.Model):
        def train_step(self, *arguments):
            *state, (images, labels) = arguments
            images = 0.75 * images + 0.25 * keras.ops.flip(images, 0)
            return super().train_step(*state, (images, labels))

    def build(classes):
        inputs = keras.Input((16, 16, 3))
        x = layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
        x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
        model = Mixup(inputs, layers.Dense(classes)(x))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01), loss, metrics=["acc"])
        return model

    def one_logit():
        bias = keras.initializers.Constant(0.3)
        model = keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                layers.Flatten(),
                layers.Dense(1, kernel_initializer="zeros", bias_initializer=bias),
            ]
        )
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
        model.compile(keras.optimizers.SGD(0.0), loss, metrics=[accuracy])
        return model

    def regress():
        model = keras.Sequential([keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(2)])
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    def averaging():
        model = regress()
        model.compile(keras.optimizers.SGD(0.001, use_ema=True, ema_momentum=0.9), "mse")
        return model
    """
LOADER = """
    import numpy as np

    def batches(manifest, split, batch_size, epochs):
        order = np.arange(len(manifest))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            labels = manifest.labels[rows]
            yield np.full((len(rows), 16, 16, 3), labels[:, None, None, None], "f4"), labels, rows

    def blind(batch_size):
        yield None

    def later(manifest, split, batch_size, epochs, start_step):
        with open("steps.txt", "a") as file:
            print(split, start_step, file=file)
        while True:
            yield from batches(manifest, split, batch_size, epochs)
            if epochs:
                break
    """


@pytest.fixture
def beside(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(dedent(MODEL))
    (tmp_path / "feed.py").write_text(dedent(LOADER))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield tmp_path
    forget()


def forget():
    """Forget the user's modules, as a new process does."""
    for name in ("own", "feed"):
        sys.modules.pop(name, None)


def run(photos, folder, function="build", loader="tf_data", stop_after=None, **options):
    forget()
    folder.mkdir(exist_ok=True)
    steps, notes = [], []
    best = Best(loader=loader, spec={"batch_size": 8, "image_size": 16, "augment": {}})
    callbacks = Callbacks(
        on_step=steps.append,
        should_stop=lambda: stop_after is not None and len(steps) >= stop_after,
        on_note=notes.append,
    )
    chosen = TrainingOptions(checkpoints=CheckpointPolicy(0, 3), tensorboard=False, **options)
    recipe = Recipe(network=f"own.py:{function}", epochs=3)
    result = train(best, recipe, scan(photos), folder, callbacks=callbacks, options=chosen)
    return result, notes


def curve(folder):
    with (folder / "history.csv").open() as file:
        return [
            {name: value for name, value in line.items() if not name.endswith("_s")}
            for line in csv.DictReader(file)
        ]


def test_a_compiled_model_resumes_to_the_same_curve(beside, tiny_photos):
    result, _ = run(tiny_photos, beside / "whole")
    with pytest.raises(TrainingStopped):
        run(tiny_photos, beside / "parts", stop_after=8)
    source = (beside / "own.py").read_text()
    (beside / "own.py").write_text(f"{source}\n# a comment\n")
    _, notes = run(tiny_photos, beside / "parts", resume=True)
    assert curve(beside / "parts") == curve(beside / "whole")
    assert "own.py has changed since" in notes[0]
    one, other = (
        keras.saving.load_model(beside / name / "model.keras", compile=False, custom_objects=own())
        for name in ("whole", "parts")
    )
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert result["test"]["accuracy"] == result["test"]["acc"]
    assert result["model"]["file"] == str(beside / "own.py")
    assert len(result["per_class"]) == 2
    _predicts_with_the_file_of_its_classes(beside / "whole", tiny_photos)


def _predicts_with_the_file_of_its_classes(folder, photos):
    forget()
    with pytest.raises(RecordError, match=r"your own Mixup; .*: --model own\.py:build$"):
        load_classifier(folder / "model.keras")
    classifier = load_classifier(folder / "model.keras", "own.py:build")
    (image, *_) = (photos / "test" / "circle").iterdir()
    assert next(classifier.predict([str(image)])).predicted in ("circle", "square")
    with pytest.raises(PlanError, match="name the function that builds it"):
        load_classifier(folder / "model.keras", str(folder / "model.keras"))


def own():
    return {"Mixup": importlib.import_module("own").Mixup}


def test_a_prediction_is_of_the_more_probable_class_by_a_single_logit(beside, tiny_photos):
    """As the test images are counted: 0.3 is a probability of 57 % as a logit."""
    result, _ = run(tiny_photos, beside / "out", "one_logit")
    classifier = load_classifier(beside / "out" / "model.keras")
    (image, *_) = (tiny_photos / "test" / "circle").iterdir()
    (predicted,) = classifier.predict([str(image)])
    assert (predicted.predicted, round(predicted.probability, 2)) == ("square", 0.57)
    assert [one["recall"] for one in result["per_class"]] == [0, 1]
    assert result["test"]["accuracy"] == 0.5


def test_a_fifo_is_no_image_to_predict(tmp_path):
    os.mkfifo(tmp_path / "image.jpg")
    with pytest.raises(OSError, match="not a regular file"):
        read_pixels(str(tmp_path / "image.jpg"), BatchSpec())


def test_a_file_that_builds_another_model_does_not_resume(beside, tiny_photos):
    with pytest.raises(TrainingStopped):
        run(tiny_photos, beside / "out", stop_after=4)
    path = beside / "own.py"
    # Longer, since Python knows changed files by their size and second.
    path.write_text(path.read_text().replace("Conv2D(4", "Conv2D(16"))
    with pytest.raises(CheckpointError, match=r"another network: .*own\.py has changed since"):
        run(tiny_photos, beside / "out", resume=True)


def test_a_model_without_an_accuracy_is_chosen_by_its_loss(beside, tiny_photos):
    result, _ = run(tiny_photos, beside / "out", "regress")
    assert result["epochs"][0]["accuracy"] is None
    assert {"mae", "validation_mae"} <= result["epochs"][0]["metrics"].keys()
    json.loads((beside / "out" / "training.json").read_text(), parse_constant=pytest.fail)
    assert (beside / "out" / "best.keras").exists()
    card = (beside / "out" / "MODEL_CARD.md").read_text()
    assert "is the model of `own.py:regress`" in card
    assert "accuracy" not in card.partition("## Data")[0]
    classifier = load_classifier(beside / "out" / "model.keras")
    assert classifier.in_range
    (image, *_) = (tiny_photos / "test" / "circle").iterdir()
    assert next(classifier.predict([str(image)])).predicted in ("circle", "square")


def test_own_model_and_own_loader_train_together(beside, tiny_photos):
    result, _ = run(tiny_photos, beside / "out", loader="feed.py:batches")
    assert result["own"]["function"] == "batches"
    assert sum(line["images"] for line in result["per_class"]) == 8
    with pytest.raises(PlanError, match="blind must take split or manifest"):
        run(tiny_photos, beside / "blind", loader="feed.py:blind")
    assert not (beside / "blind" / RECIPE).exists()


def test_a_loader_that_takes_start_step_resumes_without_reading_again(beside, tiny_photos):
    with pytest.raises(TrainingStopped):
        run(tiny_photos, beside / "out", loader="feed.py:later", stop_after=4)
    _, notes = run(tiny_photos, beside / "out", loader="feed.py:later", resume=True)
    asked = [line for line in (beside / "steps.txt").read_text().splitlines() if "train" in line]
    assert asked == ["train 0", "train 4"]
    assert not any("read again" in note for note in notes)


def test_the_model_has_the_averages_of_an_optimizer_that_keeps_them(beside, tiny_photos):
    """As after `fit`; a checkpoint is written before, so a resumed training has the same."""
    run(tiny_photos, beside / "out", "averaging")
    model = keras.saving.load_model(beside / "out" / "model.keras")
    weights = model.get_weights()
    averages = model.optimizer._model_variables_moving_average
    for weight, average in zip(weights, averages, strict=True):
        np.testing.assert_array_equal(weight, average)
    run(tiny_photos, beside / "out", "averaging", resume=True)
    again = keras.saving.load_model(beside / "out" / "model.keras")
    for one, other in zip(weights, again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
