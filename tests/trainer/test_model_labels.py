"""Labels that a loss or a metric refuses are found without a step; others are left alone."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from feedbench.loaders import Batch
from feedbench.trainer import OwnModel, RecipeError, labels_fault

IMAGES = np.zeros((4, 6, 6, 3), np.float32)
CLASSES = np.array([0, 1, 1, 0])
ONE_HOT = np.eye(2, dtype=np.float32)[CLASSES]


def network(loss=None, metrics=None, units=2, kind=keras.Model):
    images = keras.Input((6, 6, 3))
    activation = "softmax" if units > 1 else None
    outputs = layers.Dense(units, activation)(layers.Flatten()(images))
    model = kind(images, outputs)
    if loss is not None:
        model.compile("sgd", loss, metrics=metrics)
    return model


def several(loss):
    images = keras.Input((6, 6, 3))
    flat = layers.Flatten()(images)
    kind, size = layers.Dense(2, name="kind")(flat), layers.Dense(1, name="size")(flat)
    model = keras.Model(images, {"kind": kind, "size": size})
    model.compile("sgd", loss)
    return model


def fault(model, labels):
    return labels_fault(OwnModel("model.py, line 3: build", model), Batch(IMAGES, labels, None))


def own_loss(truth, outputs):
    return keras.ops.mean(keras.ops.square(truth["left"] - outputs), axis=-1)


SEVERAL = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
SIZES = np.zeros((4, 1), np.float32)


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (network("sparse_categorical_crossentropy", ["accuracy"]), CLASSES),
        (network("sparse_categorical_crossentropy"), CLASSES[:, None]),
        (network("categorical_crossentropy", ["accuracy"]), ONE_HOT),
        (network("mse", units=1), CLASSES.astype(np.float32)),
        (several(SEVERAL), {"kind": CLASSES, "size": SIZES}),
        (network(lambda truth, outputs: keras.ops.mean(outputs, axis=-1)), CLASSES),
        (network(), CLASSES),
        (network(), ONE_HOT),
    ],
)
def test_labels_that_are_taken_have_no_fault(model, labels):
    assert fault(model, labels) == ""
    if model.compiled:
        model.train_on_batch(IMAGES, labels)


@pytest.mark.parametrize(
    ("model", "labels", "said"),
    [
        (network("categorical_crossentropy"), CLASSES, "int64 [4]; the model's loss"),
        (network("categorical_crossentropy"), np.ones((4, 7)), "float64 [4, 7]; the model's loss"),
        (network("sparse_categorical_crossentropy"), ONE_HOT, "float32 [4, 2]; the model's loss"),
        (
            several(SEVERAL),
            {"kind": ONE_HOT, "size": SIZES},
            "'kind': float32 [4, 2], 'size': float32 [4, 1]; the model's loss",
        ),
        (network(own_loss), CLASSES, "int64 [4]; the model's loss"),
        (
            network("sparse_categorical_crossentropy", [keras.metrics.F1Score()]),
            CLASSES,
            "int64 [4]; the model's metrics",
        ),
    ],
)
def test_the_fault_says_what_came_and_why_it_is_refused(model, labels, said):
    found = fault(model, labels)
    assert found.startswith(f"labels that are {said} does not take them: ".replace(
        "metrics does", "metrics do"
    ))  # fmt: skip
    assert "\n" not in found
    with pytest.raises(Exception):  # noqa: B017, PT011  of Keras, or of the library below it
        model.train_on_batch(IMAGES, labels)


def test_a_loss_that_does_not_follow_is_an_error():
    with pytest.raises(RecipeError, match=r"^model\.py, line 3: build .* no loss follows from"):
        fault(network(), np.ones((4, 7), np.float32))


class Mixup(keras.Model):
    def train_step(self, *arguments):
        return super().train_step(*arguments)


def test_what_the_models_own_code_takes_is_unknown():
    assert fault(network("categorical_crossentropy", kind=Mixup), CLASSES) == ""


def test_nothing_is_trained():
    model = network("sparse_categorical_crossentropy", ["accuracy"])
    weights = [weight.copy() for weight in model.get_weights()]
    assert fault(model, CLASSES) == ""
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


@pytest.mark.guests("jax", "torch")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_say_the_same(backend):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "not backends", __file__],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
