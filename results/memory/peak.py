"""The peak memory of one process that gives batches of 192 images of 224 px for 20 batches.

peak.py WHAT PHOTOS prints a line of JSON; peak.py table FILE the medians of such lines.
"""

import json
import resource
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

BATCHES, BATCH_SIZE, SIDE = 20, 192, 224


def nothing(photos: str) -> None:
    """Feedbench and the list of images, without TensorFlow."""
    from feedbench.loaders import scan

    scan(photos)


def tensorflow(photos: str) -> None:
    """The import of TensorFlow, and its first operation."""
    import tensorflow as tf

    tf.constant(1) + 1


def keras(photos: str) -> None:
    """Keras beside it."""
    import keras

    tensorflow(photos)
    keras.utils.set_random_seed(0)


def bare_tf_data(photos: str) -> None:
    """Batches of uint8 by tf.data, as its guide on performance writes a pipeline."""
    import tensorflow as tf

    def decoded(path: Any) -> Any:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.cast(tf.image.resize(image, (SIDE, SIDE), "nearest"), tf.uint8)

    paths = tf.data.Dataset.list_files(f"{photos}/*/*", seed=0).repeat()
    dataset = paths.map(decoded, num_parallel_calls=tf.data.AUTOTUNE)
    pull(dataset.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE))


def bare_keras_directory(photos: str) -> None:
    """Batches of float32 in range by Keras, as its tutorial on loading images does it."""
    import keras
    import tensorflow as tf

    dataset = keras.utils.image_dataset_from_directory(
        photos, batch_size=BATCH_SIZE, image_size=(SIDE, SIDE), interpolation="nearest"
    )
    layer = keras.layers.Rescaling(1.0 / 255)
    dataset = dataset.map(lambda images, labels: (layer(images), labels)).repeat()
    pull(dataset.prefetch(tf.data.AUTOTUNE))


def tf_data(photos: str) -> None:
    """The loader of Feedbench."""
    ours("tf_data", photos)


def keras_directory(photos: str) -> None:
    """The loader of Feedbench."""
    ours("keras_directory", photos)


def ours(name: str, photos: str) -> None:
    """Batches by a loader with its usual settings."""
    from feedbench.loaders import BatchSpec, open_loader, scan

    spec = BatchSpec(batch_size=BATCH_SIZE, image_size=SIDE)
    with open_loader(name, scan(photos, validation=0, test=0), spec) as stream:
        pull(stream)


def pull(batches: Any) -> None:
    """Take some batches and keep none."""
    for number, _ in enumerate(batches, 1):
        if number == BATCHES:
            return


WHAT = {
    function.__name__: function
    for function in (
        nothing,
        tensorflow,
        keras,
        bare_tf_data,
        tf_data,
        bare_keras_directory,
        keras_directory,
    )
}


def table(file: str) -> None:
    """Print the median of each."""
    peaks = defaultdict(list)
    for line in map(json.loads, Path(file).read_text().splitlines()):
        peaks[line["what"]].append(line["peak_bytes"] / 1e6)
    for what, values in peaks.items():
        print(f"{what:22}{median(values):7.0f} MB  ({min(values):.0f} to {max(values):.0f})")


if __name__ == "__main__":
    if sys.argv[1] == "table":
        table(sys.argv[2])
    else:
        WHAT[sys.argv[1]](sys.argv[2])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"what": sys.argv[1], "peak_bytes": peak}))
