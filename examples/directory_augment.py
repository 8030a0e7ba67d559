"""image_dataset_from_directory, then Keras' augmentation layers.

As often seen, and slow: the layers run in one `map` without parallel calls, and nothing is
prefetched after it.
"""

import sys
from pathlib import Path

import keras

from loaders import print_rate


def make_dataset(data, split="train", batch_size=32, image_size=224, seed=0):
    """Return batches of float32 pixels of 0 to 255, flipped, turned and zoomed at random."""
    augment = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(0.05),
            keras.layers.RandomZoom(0.1),
        ]
    )
    dataset = keras.utils.image_dataset_from_directory(
        Path(data, split),
        batch_size=batch_size,
        image_size=(image_size, image_size),
        seed=seed,
        verbose=False,
    )
    return dataset.map(lambda images, labels: (augment(images, training=True), labels))


if __name__ == "__main__":
    print_rate(make_dataset(sys.argv[1]))
