"""The classic generator: load_img one by one, changes by hand, and from_generator around it.

As often seen, and slow: one Python thread prepares everything, and nothing is prefetched.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from loaders import photographs, print_rate


def changed(image, random):
    """Flip at random, shift by up to a tenth of the width, and change the brightness."""
    if random.random() < 0.5:
        image = image[:, ::-1]
    reach = image.shape[1] // 10
    image = np.roll(image, random.integers(-reach, reach + 1), axis=1)
    return np.clip(image * random.uniform(0.8, 1.2), 0, 255)


def samples(data, split, image_size, seed):
    """Give one photograph and its label after another, without end."""
    paths, labels = photographs(data, split)
    random = np.random.default_rng(seed)
    while True:
        for row in random.permutation(len(paths)):
            image = keras.utils.load_img(paths[row], target_size=(image_size, image_size))
            yield changed(keras.utils.img_to_array(image), random), labels[row]


def make_batches(data, split="train", batch_size=32, image_size=224, seed=0):
    """Give batches of float32 pixels of 0 to 255 without end: a plain generator for `fit`."""
    endless = samples(data, split, image_size, seed)
    while True:
        images, labels = zip(*(next(endless) for _ in range(batch_size)), strict=True)
        yield np.stack(images), np.stack(labels)


def make_dataset(data, split="train", batch_size=32, image_size=224, seed=0):
    """Return the same as a tf.data.Dataset."""
    dataset = tf.data.Dataset.from_generator(
        lambda: samples(data, split, image_size, seed),
        output_signature=(
            tf.TensorSpec((image_size, image_size, 3), tf.float32),
            tf.TensorSpec((), tf.int32),
        ),
    )
    return dataset.batch(batch_size)


if __name__ == "__main__":
    print_rate(make_dataset(sys.argv[1]))
