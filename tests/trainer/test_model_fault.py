"""What a batch has that a model cannot take is found from the shapes that the model declares."""

import keras
import numpy as np
import pytest
from keras import layers

from feedbench.loaders import Batch
from feedbench.trainer import batch_fault, declares_batches


def network(*shapes, names=None, compiled=False):
    """A model with an input of each shape: in a list, or in a dict with these names."""
    named = names or [None] * len(shapes)
    inputs = [keras.Input(shape, name=name) for shape, name in zip(shapes, named, strict=True)]
    flat = [
        layers.Dense(2)(layers.GlobalMaxPooling1D()(layers.Reshape((-1, 1))(x))) for x in inputs
    ]
    outputs = flat[0] if len(flat) == 1 else layers.Add()(flat)
    taken = dict(zip(names, inputs, strict=True)) if names else inputs
    model = keras.Model(taken, outputs)
    if compiled:
        model.compile("sgd", "sparse_categorical_crossentropy")
    return model


# Keras warns, and takes what fits all the same.
MISMATCH = pytest.mark.filterwarnings(r"ignore:[\s\S]*The structure of `inputs`:UserWarning")


def fault(model, images):
    return batch_fault(model, Batch(images, np.array([0, 1], np.int32), None))


def images(*shape):
    return np.zeros((2, *shape), np.float32)


RGB, SIDE = (12, 12, 3), (1,)
LIST, DICT = network(RGB, SIDE), network(RGB, SIDE, names=("rgb", "side"))
NAMED = keras.Model(list(DICT.inputs), DICT.outputs)
NESTED_IN_DICT = keras.Model({"rgb": DICT.inputs[0], "more": [DICT.inputs[1]]}, DICT.outputs)
NESTED = keras.Model((DICT.inputs[0], {"side": DICT.inputs[1]}), DICT.outputs)


@MISMATCH
@pytest.mark.parametrize(
    ("model", "given"),
    [
        (network(RGB), images(*RGB)),
        (network((None, None, 3)), images(7, 9, 3)),
        (network((None, 12, None)), images(7, 12, 1)),
        (network((12, 12)), images(12, 12, 1)),  # Keras drops the last axis
        (network((12, 12, 1)), images(12, 12)),  # and adds it
        (LIST, (images(*RGB), images(1))),
        (LIST, (images(*RGB), images())),
        (NAMED, {"more": images(5), "side": images(1), "rgb": images(*RGB)}),
        (DICT, {"rgb": images(*RGB), "side": images(1)}),
        (DICT, {"rgb": images(*RGB), "side": images(1), "x": images(5)}),
        (DICT, (images(*RGB), images(1))),
        (NESTED, (images(*RGB), {"side": images(1)})),
        (NESTED_IN_DICT, {"rgb": images(*RGB), "more": [images(1)]}),
    ],
)
def test_a_batch_that_the_model_takes_has_no_fault(model, given):
    assert fault(model, given) == ""
    model(given)


@MISMATCH
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("shapes", "given", "said"),
    [
        ([RGB], images(9, 9, 3), "images that are float32 [2, 9, 9, 3]; the model takes "
         "[batch, 12, 12, 3]"),
        ([RGB], images(3, 12, 12), "images that are float32 [2, 3, 12, 12]; the model takes "
         "[batch, 12, 12, 3]"),
        ([(None, None, 3)], images(3, 12, 12), "images that are float32 [2, 3, 12, 12]; the model "
         "takes [batch, any, any, 3]"),
        ([RGB], images(12, 12), "images that are float32 [2, 12, 12]; the model takes "
         "[batch, 12, 12, 3]"),
        ([RGB], (images(*RGB), images(1)), "2 arrays as images, float32 [2, 12, 12, 3], float32 "
         "[2, 1]; the model takes 1: [batch, 12, 12, 3]"),
        ([RGB, SIDE], images(*RGB), "1 array as images, float32 [2, 12, 12, 3]; the model takes "
         "2: [batch, 12, 12, 3], [batch, 1]"),
        ([RGB, (4,)], (images(*RGB), images(5)), "images[1] that are float32 [2, 5]; the model "
         "takes [batch, 4]"),
    ],
)  # fmt: skip
def test_the_fault_says_what_came_and_what_is_taken(shapes, given, said, compiled):
    model = network(*shapes, compiled=compiled)
    assert fault(model, given) == said
    with pytest.raises(ValueError):  # noqa: PT011  any of Keras' many texts
        model(given)


@MISMATCH
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rgb": images(9, 9, 3), "side": images(1)}, "images['rgb'] that are float32 "
         "[2, 9, 9, 3]; the model takes [batch, 12, 12, 3]"),
        ({"rgb": images(*RGB), "size": images(1)}, "images called 'rgb', 'size'; the model takes "
         "'rgb', 'side'"),
        ({"a": images(2), "rgb": images(*RGB), "side": images(1)}, "images called 'a', 'rgb', "
         "'side'; the model takes 'rgb', 'side'"),
    ],
)  # fmt: skip
def test_inputs_are_compared_by_name(given, said):
    assert fault(DICT, given) == said
    with pytest.raises(ValueError, match=r"rgb|side"):
        DICT(given)


def test_an_input_that_is_optional_may_be_left_out():
    rgb, side = keras.Input(RGB), keras.Input(SIDE, optional=True)
    model = keras.Model([rgb, side], layers.Flatten()(rgb))
    assert fault(model, images(*RGB)) == ""


class Subclass(keras.Model):
    def call(self, images):
        return images


class Mixup(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def test_of_some_models_nothing_is_known_before_a_step():
    assert declares_batches(network(RGB))
    assert declares_batches(keras.Sequential([keras.Input(RGB), layers.Flatten()]))
    assert not declares_batches(keras.Sequential([layers.Flatten()]))
    assert not declares_batches(Subclass())
    inputs = keras.Input(RGB)
    assert not declares_batches(Mixup(inputs, layers.Flatten()(inputs)))
    assert fault(Subclass(), images(5)) == ""
