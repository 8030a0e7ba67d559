"""EfficientNetB0 of keras.applications, from scratch, in mixed precision."""

import keras


def build(image_size, classes):
    """Return the compiled model: pixels of 0 to 255 in, float32 probabilities out."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = keras.applications.EfficientNetB0(
        weights=None, include_top=False, pooling="avg", input_shape=(image_size, image_size, 3)
    )
    classify = keras.layers.Dense(classes, activation="softmax", dtype="float32")
    model = keras.Model(network.input, classify(network.output))
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
