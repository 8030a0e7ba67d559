"""Two inputs: the image made square, and the shape that the photograph had before."""

import sys
from pathlib import Path

import keras
import tensorflow as tf

from loaders import print_rate
from model import features


def make_dataset(data, split="train", batch_size=32, image_size=224, seed=0):
    """Return batches of `{"image", "shape"}` and labels."""
    classes = sorted(path.name for path in Path(data, split).iterdir() if path.is_dir())

    def load(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
        inputs = {
            "image": tf.image.resize(image, (image_size, image_size)),
            "shape": tf.math.log([height, width]),
        }
        return inputs, tf.argmax(tf.strings.split(path, "/")[-2] == classes, output_type=tf.int32)

    files = tf.data.Dataset.list_files(f"{data}/{split}/*/*", seed=seed)
    dataset = files.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(2)


def build(image_size, classes):
    """Return the compiled model for these batches."""
    image = keras.Input((image_size, image_size, 3), name="image")
    shape = keras.Input((2,), name="shape")
    both = keras.layers.Concatenate()([features(image), keras.layers.Dense(8)(shape)])
    answer = keras.layers.Dense(classes, activation="softmax")(both)
    model = keras.Model({"image": image, "shape": shape}, answer)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


if __name__ == "__main__":
    print_rate(make_dataset(sys.argv[1]))
