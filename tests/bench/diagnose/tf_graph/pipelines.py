"""Small real tf.data pipelines: for each mistake one that has it, and one that has not."""

import time
from pathlib import Path

import numpy as np
import tensorflow as tf

AUTOTUNE = tf.data.AUTOTUNE
SIZE = 8


def files(count=32):
    """JPEG bytes."""
    image = tf.io.encode_jpeg(np.zeros((16, 16, 3), np.uint8))
    return tf.data.Dataset.from_tensor_slices([image.numpy()] * count)


def decode(data):
    return tf.cast(tf.image.resize(tf.io.decode_jpeg(data, channels=3), (SIZE, SIZE)), tf.uint8)


def flip(image):
    return tf.image.random_flip_left_right(image)


def by_python(data):
    image = tf.numpy_function(lambda _: np.zeros((SIZE, SIZE, 3), np.uint8), [data], tf.uint8)
    return tf.ensure_shape(image, (SIZE, SIZE, 3))


def sleeping(seconds):
    def sleep(image):
        time.sleep(seconds)
        return image

    return lambda image: tf.numpy_function(sleep, [image], tf.uint8)


def end(dataset):
    return dataset.batch(4).prefetch(AUTOTUNE)


def good():
    return end(files().shuffle(32).map(decode, num_parallel_calls=AUTOTUNE))


def no_prefetch():
    return files().shuffle(32).map(decode, num_parallel_calls=AUTOTUNE).batch(4)


def serial_map():
    return end(files().map(decode))


def none_by_a_parameter(workers=None):
    return end(files().map(decode, num_parallel_calls=workers))


def python_per_image():
    return end(files().map(by_python, num_parallel_calls=AUTOTUNE))


def python_per_batch():
    def whole(images):
        return tf.numpy_function(lambda batch: batch, [images], tf.uint8)

    batches = files().map(decode, num_parallel_calls=AUTOTUNE).batch(4)
    return batches.map(whole, num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE)


def from_generator():
    def images():
        for _ in range(32):
            yield np.zeros((SIZE, SIZE, 3), np.uint8)

    signature = tf.TensorSpec((SIZE, SIZE, 3), tf.uint8)
    return end(tf.data.Dataset.from_generator(images, output_signature=signature))


def cache_after_random():
    decoded = files().map(decode, num_parallel_calls=AUTOTUNE)
    return end(decoded.map(flip, num_parallel_calls=AUTOTUNE).cache())


def cache_before_random():
    decoded = files().map(decode, num_parallel_calls=AUTOTUNE)
    return end(decoded.cache().map(flip, num_parallel_calls=AUTOTUNE))


def darker(image):
    return (image * np.random.default_rng().random()).astype(np.uint8)


def by_random_python(image):
    return tf.ensure_shape(tf.numpy_function(darker, [image], tf.uint8), (SIZE, SIZE, 3))


def cache_after_numpy_random():
    decoded = files().map(decode, num_parallel_calls=AUTOTUNE)
    return end(decoded.map(by_random_python, num_parallel_calls=AUTOTUNE).cache())


def cache_after_python():
    decoded = files().map(decode, num_parallel_calls=AUTOTUNE)
    return end(decoded.map(by_python, num_parallel_calls=AUTOTUNE).cache())


def cache_of_generator(random):
    def images():
        for row in np.random.permutation(32) if random else range(32):
            yield np.full((SIZE, SIZE, 3), row, np.uint8)

    def ordered():
        for row in range(32):
            yield np.full((SIZE, SIZE, 3), row, np.uint8)

    signature = tf.TensorSpec((SIZE, SIZE, 3), tf.uint8)
    source = images if random else ordered
    return end(tf.data.Dataset.from_generator(source, output_signature=signature).cache())


def cache_after_random_generator():
    return cache_of_generator(True)


def cache_after_generator():
    return cache_of_generator(False)


def records(count, **options):
    names = [f"{number}.tfrecord" for number in range(count)]
    parsed = tf.data.TFRecordDataset(names, **options)
    return end(parsed.map(decode, num_parallel_calls=AUTOTUNE))


def serial_reads():
    return records(3)


def parallel_reads():
    return records(3, num_parallel_reads=AUTOTUNE)


def one_file():
    return records(1)


def small_shuffle():
    return end(files().shuffle(8).map(decode, num_parallel_calls=AUTOTUNE))


def small_shuffle_of_shuffled_files():
    paths = tf.data.Dataset.list_files(f"{Path(__file__).parent}/*.py")
    return end(paths.map(decode, num_parallel_calls=AUTOTUNE).shuffle(2))


def shuffle_before_cache():
    return end(files().shuffle(32).map(decode, num_parallel_calls=AUTOTUNE).cache())


def shuffle_after_cache():
    return end(files().map(decode, num_parallel_calls=AUTOTUNE).cache().shuffle(32))


def shuffle_after_batch():
    return files().map(decode, num_parallel_calls=AUTOTUNE).batch(4).shuffle(8).prefetch(AUTOTUNE)


def repeat_before_shuffle():
    return end(files().repeat(2).shuffle(64).map(decode, num_parallel_calls=AUTOTUNE))


def repeat_after_shuffle():
    return end(files().shuffle(32).repeat(2).map(decode, num_parallel_calls=AUTOTUNE))


def serial_interleave():
    numbers = tf.data.Dataset.range(4)
    data = files(8)
    inner = numbers.interleave(lambda _: data, cycle_length=2)
    return end(inner.map(decode, num_parallel_calls=AUTOTUNE))


def parallel_interleave():
    numbers = tf.data.Dataset.range(4)
    data = files(8)
    inner = numbers.interleave(lambda _: data, cycle_length=2, num_parallel_calls=AUTOTUNE)
    return end(inner.map(decode, num_parallel_calls=AUTOTUNE))


def float_resize():
    def load(data):
        image = tf.image.convert_image_dtype(tf.io.decode_jpeg(data, channels=3), tf.float32)
        return tf.cast(tf.image.resize(image, (SIZE, SIZE)) * 255, tf.uint8)

    return end(files().map(load, num_parallel_calls=AUTOTUNE))


def float_batches():
    def load(data):
        return tf.image.resize(tf.io.decode_jpeg(data, channels=3), (SIZE, SIZE))

    return end(files().map(load, num_parallel_calls=AUTOTUNE))


def map_before_batch():
    decoded = files().map(decode, num_parallel_calls=AUTOTUNE)
    return end(decoded.map(lambda image: 255 - image, num_parallel_calls=AUTOTUNE))


def map_after_batch():
    batches = files().map(decode, num_parallel_calls=AUTOTUNE).batch(4)
    inverted = batches.map(lambda images: 255 - images, num_parallel_calls=AUTOTUNE)
    return inverted.prefetch(AUTOTUNE)


def deterministic():
    return end(files().map(decode, num_parallel_calls=AUTOTUNE, deterministic=True))


def endless_batches():
    def batches():
        while True:
            yield np.zeros((4, SIZE, SIZE, 3), np.uint8)

    signature = tf.TensorSpec((None, SIZE, SIZE, 3), tf.uint8)
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)
