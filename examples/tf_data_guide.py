"""The tf.data pipeline of the guides: list, shuffle, decode in parallel, batch, prefetch."""

import sys
from pathlib import Path

import tensorflow as tf

from loaders import print_rate

SPACE = {"workers": [2, 4, 8], "prefetch": [1, 4]}  # what `feedbench tune` tries


def make_dataset(
    data,
    split="train",
    batch_size=32,
    image_size=224,
    seed=0,
    workers=tf.data.AUTOTUNE,
    prefetch=tf.data.AUTOTUNE,
):
    """Return batches of float32 pixels of 0 to 255, flipped at random."""
    classes = sorted(path.name for path in Path(data, split).iterdir() if path.is_dir())

    def load(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.resize(image, (image_size, image_size))
        label = tf.argmax(tf.strings.split(path, "/")[-2] == classes, output_type=tf.int32)
        return tf.image.random_flip_left_right(image), label

    files = tf.data.Dataset.list_files(f"{data}/{split}/*/*", seed=seed)
    return (
        files.map(load, num_parallel_calls=workers)
        .batch(batch_size, drop_remainder=True)
        .prefetch(prefetch)
    )


if __name__ == "__main__":
    print_rate(make_dataset(sys.argv[1]))
