"""Trains own models by `ModelTrainer` and by Keras' `fit`, under the backend of the process.

Prints, as JSON, the names of the checks that failed.
"""

import json
import sys
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from feedbench.trainer import (
    DeviceAugment,
    Images,
    ModelTrainer,
    OwnModel,
    Recipe,
    Schedule,
    Trainer,
    building,
)

SIDE, BATCH, STEPS = 12, 6, 5


class Batch(NamedTuple):
    images: Any
    labels: Any
    rows: Any = None


class Sized(NamedTuple):
    images: Any
    labels: Any
    rows: Any = None
    fixed_size: bool = True


class Rolling(keras.Model):
    """Has a train_step that needs the number of images as a number."""

    def train_step(self, *arguments):
        *state, (images, labels) = arguments
        half = images.shape[0] // 2
        return super().train_step(*state, (images[:half], labels[:half]))


class Mixup(keras.Model):
    """Mixes each image with another of its batch, under any backend."""

    def train_step(self, *arguments):
        *state, (images, labels) = arguments  # two values, as fit gives them
        mixed = 0.75 * images + 0.25 * keras.ops.flip(images, 0)
        return super().train_step(*state, (mixed, labels))


def functional(kind=keras.Model, activation="softmax", dtype="float32", classes=2):
    inputs = keras.Input((SIDE, SIDE, 3), dtype=dtype)
    x = inputs if dtype == "float32" else layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = layers.Dropout(0.3, seed=7)(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return kind(inputs, layers.Dense(classes, activation=activation, dtype="float32")(x))


def plain():
    model = functional()
    rate = keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.5)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def mixup():
    model = functional(Mixup)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc"])
    return model


def accumulating():
    model = functional()
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def averaging():
    """The optimizer sets the weights to their moving averages after the last step."""
    model = functional()
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def mixed_precision():
    """As the guides set it, with the blocks of an EfficientNet."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(layers.Rescaling(1 / 255)(inputs))
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate]))
    outputs = layers.Dense(2, activation="softmax", dtype="float32")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def two_inputs():
    image, size = keras.Input((SIDE, SIDE, 3), name="image"), keras.Input((2,), name="size")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    x = layers.Concatenate()([x, size])
    kind = layers.Dense(2, activation="softmax", name="kind")(x)
    weight = layers.Dense(1, name="weight")(x)
    return keras.Model({"image": image, "size": size}, {"kind": kind, "weight": weight})


def two_outputs():
    model = two_inputs()
    model.compile(
        "adam",
        loss={"kind": "sparse_categorical_crossentropy", "weight": "mse"},
        metrics={"kind": ["accuracy"], "weight": ["mae"]},
    )
    return model


def batches(name, count=STEPS):
    random = np.random.default_rng(1)
    for _ in range(count):
        labels = random.integers(0, 2, BATCH).astype("int32")
        images = random.random((BATCH, SIDE, SIDE, 3)).astype("float32")
        images += labels[:, None, None, None]
        if "two" not in name:
            yield Batch(images, labels)
        else:
            yield Batch(
                {"image": images, "size": random.random((BATCH, 2)).astype("float32")},
                {"kind": labels, "weight": random.random((BATCH, 1)).astype("float32")},
            )


MODELS = (plain, mixup, accumulating, averaging, mixed_precision, two_outputs)


def trainer(name, model, images=None, **recipe):
    first = next(batches(name)) if images is None else next(pixels())
    own = OwnModel("model.py, line 1: build", model)
    return ModelTrainer(own, Recipe(**recipe), Schedule(BATCH, BATCH * 10), first, images)


def built(build, **recipe):
    with building(Recipe(**recipe)):
        return build()


def close(one, other):
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(one, other, strict=True))


def state_of(model):
    """Weights and seeds."""
    return [keras.ops.convert_to_numpy(variable) for variable in model.variables]


def trains_as_fit(build):
    """Whether both give the same weights, seeds, loss and metrics."""
    name = build.__name__
    model = built(build)
    own = trainer(name, model)
    own.start_epoch()
    for batch in batches(name):
        own.step(batch)
    logs = own.progress()
    own.end_training()
    fitted = built(build)
    data = ((batch.images, batch.labels) for batch in batches(name))
    history = fitted.fit(data, steps_per_epoch=STEPS, shuffle=False, verbose=0).history
    same_logs = all(np.isclose(logs[key], value[0], rtol=1e-3) for key, value in history.items())
    return same_logs and close(state_of(model), state_of(fitted))


def resumes(build):
    """Whether a restored training goes the way of the uninterrupted one, bit by bit."""
    name = build.__name__
    own, again = (trainer(name, built(build)) for _ in range(2))
    feed = list(batches(name, 2 * STEPS))
    for batch in feed[:STEPS]:
        own.step(batch)
    values = [np.array(value, copy=True) for value in map(np.asarray, own.capture())]
    losses = _losses(own, feed[STEPS:])
    again.restore(0, STEPS, values)
    return losses == _losses(again, feed[STEPS:]) and again.phase_steps == 2 * STEPS


def _losses(own, feed):
    losses = []
    for batch in feed:
        own.step(batch)
        losses.append(own.progress()["loss"])
    return losses


def evaluates_all_batches():
    """Whether the loss of several batches is that of Keras, and training goes on as before."""
    own = trainer("plain", built(plain))
    for batch in batches("plain"):
        own.step(batch)
    logs = own.evaluate(batches("plain"))
    images = np.concatenate([batch.images for batch in batches("plain")])
    labels = np.concatenate([batch.labels for batch in batches("plain")])
    theirs = own._model.evaluate(images, labels, verbose=0, return_dict=True)
    own.step(next(batches("plain")))
    own.finish()
    return all(np.isclose(logs[key], value, rtol=1e-4) for key, value in theirs.items())


def pixels(count=STEPS):
    random = np.random.default_rng(2)
    for _ in range(count):
        labels = random.integers(0, 2, BATCH).astype("int32")
        noise = random.integers(0, 100, (BATCH, SIDE, SIDE, 3))
        yield Batch((noise + 150 * labels[:, None, None, None]).astype("uint8"), labels)


OURS = Images("uint8", SIDE, [1 / 255] * 3, [0.0] * 3, 2, DeviceAugment())


def takes_pixels_in_range():
    """Whether pixels, converted on the device, train like the same images in range."""
    own, same = trainer("ours", built(plain), OURS), trainer("plain", built(plain))
    for batch in pixels():
        own.step(batch)
        same.step(Batch(batch.images.astype("float32") / 255, batch.labels))
    return np.isclose(own.progress()["loss"], same.progress()["loss"], rtol=1e-3)


def traces_for_any_size():
    """Whether a smaller last batch is no other trace, where the size is not known beforehand."""
    seen = []

    class Seeing(keras.Model):
        def train_step(self, *arguments):
            seen.append(arguments[-1][0].shape[0])
            return super().train_step(*arguments)

    model = functional(Seeing)
    model.compile("sgd", "sparse_categorical_crossentropy")
    own, (batch,) = trainer("plain", model), batches("plain", 1)
    own.step(batch)
    own.finish()
    before = list(seen)
    own.step(Batch(batch.images[:4], batch.labels[:4]))
    own.finish()
    if keras.backend.backend() != "tensorflow":
        return set(before) == {BATCH}
    return seen == before and set(seen) == {None}


def keeps_a_size_that_is_known():
    """Whether a step may rely on the size of batches of a dataset that drops the remainder."""
    model = functional(Rolling)
    model.compile("sgd", "sparse_categorical_crossentropy")
    own = OwnModel("model.py, line 1: build", model)
    first = Sized(*next(batches("plain")))
    feed = ModelTrainer(own, Recipe(), Schedule(BATCH, BATCH * 10), first, None)
    feed.step(first)
    return feed.progress()["loss"] > 0


def gets_the_recipe():
    """Whether a model that is not compiled learns with the recipe's optimizer and schedule."""
    own = trainer("ours", built(functional), OURS, epochs=4, base_learning_rate=4.0)
    rates = []
    for batch in pixels(30):
        rates.append(own.learning_rate)
        own.step(batch)
    probabilities = [values for _, values in own.probabilities(pixels(1))]
    rises = rates[0] < rates[5] < rates[9]
    return rises and own.progress()["loss"] < 0.7 and probabilities[0].shape == (BATCH, 2)


def chooses_losses():
    own = trainer("two_inputs", built(two_inputs))
    names = {key: type(loss).__name__ for key, loss in own._model.loss.items()}
    for batch in batches("two_inputs"):
        own.step(batch)
    expected = {"kind": "SparseCategoricalCrossentropy", "weight": "MeanSquaredError"}
    return names == expected and "kind_accuracy" in own.progress()


def steps_are_made_up():
    """Whether a model that takes more than images can be timed without a loader for it."""
    images = replace(OURS, made_up=True)
    logs = []
    for build in (two_inputs, two_outputs):
        own = trainer("ours", built(build), images)
        own.step(next(pixels()))
        logs.append(own.progress())
    return all(np.isfinite(one["loss"]) and "kind_accuracy" in one for one in logs)


def recipe_trains():
    """Whether the recipe's own network averages over the epoch, and evaluates all batches."""
    recipe = Recipe(network="MobileNet", alpha=0.25, epochs=2, base_learning_rate=0.1)
    sizes = {"image_size": 32, "batch_size": BATCH, "classes": 2, "images": 12}
    kind = {"scale": [1 / 255] * 3, "offset": [0.0] * 3, "image_dtype": "uint8"}
    own = Trainer(recipe, **sizes, **kind)
    feed = [Batch(np.resize(one.images, (BATCH, 32, 32, 3)), one.labels) for one in pixels(2)]
    own.start_epoch()
    losses = []
    for batch in feed:
        own.step(batch)
        losses.append(own.progress()["loss"])
    before = [np.array(value) for value in own.capture()]
    alone = [own.evaluate([batch])["loss"] for batch in feed]
    together = own.evaluate(feed)["loss"]
    own.restore(0, 2, before)
    mean = own.progress()["loss"] == losses[1] != losses[0]
    return mean and np.isclose(together, np.mean(alone), rtol=1e-4)


CHECKS = {
    **{
        f"trains_as_fit:{build.__name__}": lambda build=build: trains_as_fit(build)
        for build in MODELS
    },
    **{f"resumes:{build.__name__}": lambda build=build: resumes(build) for build in MODELS[:3]},
    **{
        check.__name__: check
        for check in (
            evaluates_all_batches,
            takes_pixels_in_range,
            traces_for_any_size,
            keeps_a_size_that_is_known,
            gets_the_recipe,
            chooses_losses,
            recipe_trains,
            steps_are_made_up,
        )
    },
}


def failures():
    failed = []
    for name, check in CHECKS.items():
        policy = keras.config.dtype_policy()
        try:
            if not check():
                failed.append(name)
        finally:
            keras.config.set_dtype_policy(policy)
    return failed


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"backend": keras.backend.backend(), "failed": failures()}))
