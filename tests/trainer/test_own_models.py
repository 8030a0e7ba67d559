"""Own models: their own steps under every backend, and what is decided for those without any."""

import json
import math
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from feedbench.trainer import (
    DeviceAugment,
    Images,
    ModelTrainer,
    OwnModel,
    Recipe,
    RecipeError,
    Schedule,
    gives_logits,
    read_facts,
)
from feedbench.trainer.history import Epoch, accuracy_of, write_history
from feedbench.trainer.model_inputs import ImageConversion, ImageInput, image_input
from feedbench.trainer.model_targets import as_probabilities, label_form

STEPS = Path(__file__).with_name("own_steps.py")
NAME = "model.py, line 4: build"


def _own_steps():
    spec = spec_from_file_location("own_steps", STEPS)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


own_steps = _own_steps()


@pytest.fixture(autouse=True)
def _same_policy():
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


# That of the built-in network is tested at length elsewhere, but not under other backends.
@pytest.mark.parametrize("name", [name for name in own_steps.CHECKS if name != "recipe_trains"])
def test_an_own_model_trains_as_its_fit_would(name):
    assert own_steps.CHECKS[name]()


@pytest.mark.guests("jax", "torch")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_own_models_train_under_other_backends(backend):
    done = subprocess.run(
        [sys.executable, STEPS],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"backend": backend, "failed": []}


@pytest.mark.skipif(not hasattr(keras.optimizers, "MultiOptimizer"), reason="of newer versions")
def test_a_model_with_several_optimizers_has_no_single_learning_rate():
    model = own_steps.functional()
    several = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    model.compile(keras.optimizers.MultiOptimizer(several), "sparse_categorical_crossentropy")
    own = own_steps.trainer("plain", model)
    own.step(next(own_steps.batches("plain")))
    own.finish()
    assert math.isnan(own.learning_rate)


def network(*shape, dtype="float32", inside=(), units=2, **head):
    inputs = keras.Input(shape or (12, 12, 3), dtype=dtype)
    x = inputs
    for layer in inside:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(units, **head)(layers.Flatten()(x)))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (network(12, 12, 3), ImageInput("float32", 12, pixels=False)),
        (network(12, 12, 3, inside=[layers.Rescaling(2)]), ImageInput("float32", 12, pixels=True)),
        (
            network(12, 12, 3, inside=[keras.Sequential([layers.Rescaling(2)])]),
            ImageInput("float32", 12, pixels=True),
        ),
        (
            network(12, 12, 3, dtype="uint8", inside=[layers.Rescaling(2)]),
            ImageInput("uint8", 12, pixels=True),
        ),
        (keras.Sequential([layers.Flatten()]), ImageInput("float32", None, pixels=False)),
    ],
)
def test_what_a_model_takes_follows_from_its_input_and_layers(model, expected):
    assert image_input(model, NAME) == expected


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (network(12, 12, 1), r"\(None, 12, 12, 1\).*RGB images, channels last"),
        (network(3, 12, 12), r"\(None, 3, 12, 12\).*channels last"),
        (network(12, 16, 3), "12 × 16.*squares"),
        (network(7), r"\(None, 7\)"),
        (own_steps.two_inputs(), "2 inputs.*--loader"),
    ],
)
def test_a_model_that_takes_something_else_is_refused_with_what_it_wants(model, words):
    with pytest.raises(RecipeError, match=words) as error:
        image_input(model, NAME)
    assert str(error.value).startswith(NAME)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", ["uint8", "float32"])
@pytest.mark.parametrize(
    ("pixels", "dtype"), [(True, "uint8"), (True, "float32"), (False, "float32")]
)
def test_images_are_converted_to_what_the_model_takes(source, pixels, dtype):
    raw = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
    ranged = raw.astype(np.float32) / 127.5 - 1
    taken = ImageInput(dtype, 8, pixels)
    convert = ImageConversion(source, taken, [1 / 127.5] * 3, [-1.0] * 3).function(DeviceAugment())
    got = np.asarray(convert(keras.ops.convert_to_tensor(raw if source == "uint8" else ranged)))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, raw if pixels else ranged, atol=1e-4)


class Focal(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_pred), -1)


@pytest.mark.parametrize(
    ("loss", "units", "expected"),
    [
        ("sparse_categorical_crossentropy", 3, "index"),
        (keras.losses.SparseCategoricalCrossentropy(), 3, "index"),
        (keras.losses.sparse_categorical_crossentropy, 3, "index"),
        ("categorical_crossentropy", 3, "one_hot"),
        (keras.losses.CategoricalFocalCrossentropy(), 3, "one_hot"),
        ("binary_crossentropy", 1, "column"),
        (keras.losses.BinaryCrossentropy(), 3, "one_hot"),
        (lambda y_true, y_pred: 0.0, 3, "index"),
        (Focal(), 3, "index"),
        (None, 3, "index"),
    ],
)
def test_labels_have_the_form_that_the_loss_needs(loss, units, expected):
    assert label_form(loss, units) == expected


def trainer(model, classes=2, images=True, first=None, **recipe):
    kind = Images("uint8", 12, [1 / 255] * 3, [0.0] * 3, classes, DeviceAugment())
    first = first or next(own_steps.pixels())
    return ModelTrainer(
        OwnModel(NAME, model), Recipe(**recipe), Schedule(6, 60), first, kind if images else None
    )


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({"activation": "softmax"}, ("CategoricalCrossentropy", False)),
        ({}, ("CategoricalCrossentropy", True)),
        ({"units": 1, "activation": "sigmoid"}, ("BinaryCrossentropy", False)),
        ({"units": 1}, ("BinaryCrossentropy", True)),
    ],
)
def test_the_loss_of_a_model_without_one_follows_from_its_outputs(head, expected):
    loss = trainer(network(12, 12, 3, **head))._model.loss
    assert (type(loss).__name__, loss.from_logits) == expected


def compiled(loss, **values):
    model = network(12, 12, 3, **values)
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (network(12, 12, 3, units=5), "5 outputs, and the data has 2 classes"),
        (compiled("sparse_categorical_crossentropy", units=5), "5 outputs"),
        (network(16, 16, 3), "16 px, and the batches have 12 px; set --image-size 16"),
        (keras.Model(*[keras.Input((12, 12, 3))] * 2), "outputs"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused_in_one_line(model, words):
    with pytest.raises(RecipeError, match=words) as error:
        trainer(model)
    assert str(error.value).startswith(NAME)
    assert "\n" not in str(error.value)


def test_a_model_without_trainable_weights_is_refused():
    model = network(12, 12, 3)
    model.trainable = False
    with pytest.raises(RecipeError, match="without trainable weights"):
        trainer(model)


def test_a_loss_of_ones_own_takes_any_outputs():
    model = compiled(Focal(), units=7)
    own = trainer(model)
    own.step(next(own_steps.pixels()))
    assert own.progress()["loss"] > 0


def test_labels_beyond_the_outputs_of_a_model_are_refused():
    first = own_steps.Batch(np.zeros((3, 12, 12, 3), np.float32), np.array([0, 1, 2]))
    with pytest.raises(RecipeError, match="2 outputs, and there is a label 2"):
        trainer(network(12, 12, 3), images=False, first=first)


def test_arrays_of_an_own_loader_may_be_written_to_again():
    images, labels = np.zeros((2, 12, 12, 3), np.float32), np.zeros(2, np.int64)
    feed = own_steps.trainer("plain", own_steps.built(own_steps.plain))._feed
    taken = feed.train(own_steps.Batch(images, labels))
    images[:], labels[:] = 1, 1
    assert not any(np.asarray(one).any() for one in taken)


def test_a_recipe_for_an_own_model_has_no_alpha_and_no_weights():
    assert Recipe(network="model.py:build").own_model
    assert not Recipe().own_model
    for values in ({"alpha": 0.5}, {"weights": "imagenet"}):
        with pytest.raises(ValueError, match=f"{next(iter(values))} applies to networks of keras"):
            Recipe(network="model.keras", **values)


def test_a_file_without_its_function_is_no_network():
    with pytest.raises(ValueError, match=r"such as model\.py:build"):
        Recipe(network="model.py")
    with pytest.raises(ValueError, match=r"such as model\.keras"):
        Recipe(network="weights.h5")


def test_logits_become_probabilities():
    logits = np.array([[0.0, np.log(3)]], np.float32)
    np.testing.assert_allclose(as_probabilities(logits), [[0.25, 0.75]])
    np.testing.assert_allclose(as_probabilities(np.array([[0.2, 0.8]])), [[0.2, 0.8]])
    np.testing.assert_allclose(as_probabilities(np.array([[0.2]])), [[0.8, 0.2]], rtol=1e-6)
    (as_logit,) = as_probabilities(np.array([[0.3]]), logits=True)
    np.testing.assert_allclose(as_logit, [0.425557, 0.574443], rtol=1e-5)
    np.testing.assert_allclose(as_probabilities(np.array([[1.2]]), logits=False), [[0, 1]])
    assert as_probabilities({"kind": logits}) is None


def with_logit(value, activation=None):
    """A model of two classes that gives the same single output for every image."""
    model = network(12, 12, 3, units=1, activation=activation)
    kernel, _ = model.layers[-1].get_weights()
    model.layers[-1].set_weights([np.zeros_like(kernel), np.array([value], np.float32)])
    return model


@pytest.mark.parametrize("value", [0.3, -0.3, 0.7, 4.0])
def test_a_logit_from_0_to_1_is_not_taken_for_a_probability(value, tmp_path):
    own, batch = trainer(with_logit(value)), next(own_steps.pixels())
    expected = 1 / (1 + np.exp(-value))
    for _, probabilities in own.probabilities([batch]):
        np.testing.assert_allclose(probabilities[:, 1], expected, rtol=1e-5)
    labels = np.full_like(batch.labels, value > 0)
    assert own.evaluate([batch._replace(labels=labels)])["accuracy"] == 1
    own.save(tmp_path / "model.keras")
    assert read_facts(tmp_path / "model.keras")["logits"] is True


def test_what_a_single_output_is_follows_from_the_loss_or_the_last_layer():
    assert gives_logits(with_logit(0.3)) is True
    assert gives_logits(with_logit(0.3, "sigmoid")) is False
    assert gives_logits(with_logit(0.3, "relu")) is None
    model = with_logit(0.3, "relu")
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    assert gives_logits(model) is True
    model.compile("sgd", "binary_crossentropy")
    assert gives_logits(model) is False


def test_a_model_that_keras_cannot_save_leaves_its_weights(tmp_path):
    class Odd(keras.Model):
        def __init__(self, head):
            super().__init__()
            self.head, self.flatten = head, layers.Flatten()

        def call(self, images):
            return self.head(self.flatten(images))

        def get_config(self):
            raise NotImplementedError("no config")

    own = trainer(Odd(layers.Dense(2)))
    assert "no config" in own.note
    own.save(tmp_path / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model.weights.h5"]


def test_other_metrics_are_columns_of_the_history(tmp_path):
    values = {"loss": 1.0, "validation_loss": 1.0, "learning_rate": 0.1}
    times = {"epoch": 1, "images": 8, "train_s": 1.0, "wait_s": 0.0}
    nan = float("nan")
    epoch = Epoch(**times, **values, accuracy=nan, validation_accuracy=nan, metrics={"mae": 2.0})
    write_history([epoch], tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines()[0].endswith("validation_s,mae")
    assert epoch.score == -1
    assert accuracy_of({"loss": 1.0, "kind_accuracy": 0.5}) == 0.5
