"""Small models as people write them, for the tests of own models."""

import keras
from keras import layers


def functional(image_size=16, classes=2, dtype="float32", activation="softmax"):
    inputs = keras.Input((image_size, image_size, 3), dtype=dtype)
    x = inputs if dtype == "float32" else layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.2, seed=3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(classes, activation=activation)(x))


def compiled(image_size=16, classes=2, **arguments):
    model = functional(image_size, classes)
    values = {
        "optimizer": keras.optimizers.Adam(0.01),
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
    }
    model.compile(**{**values, **arguments})
    return model
