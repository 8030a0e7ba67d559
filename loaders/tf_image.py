"""Decoding and resizing inside a TensorFlow graph, to the same picture as every other loader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from loaders.contract import BatchSpec

Decode = Literal["image", "jpeg", "scaled"]
RATIOS = (1, 2, 4, 8)  # shrinking inside libjpeg's inverse DCT; other eighths have no fast path


def decoder(decode: Decode, spec: BatchSpec) -> Callable[[Any], Any]:
    """From file bytes to uint8 `[height, width, 3]`."""
    import tensorflow as tf

    def image(data: Any) -> Any:
        return tf.io.decode_image(data, channels=3, expand_animations=False)

    def jpeg(data: Any, ratio: int = 1) -> Any:
        # INTEGER_ACCURATE gives Pillow's pixels; the default trades accuracy for speed.
        return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    def scaled(data: Any) -> Any:
        shape = tf.io.extract_jpeg_shape(data)
        spare = _spare(tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32), spec)
        index = tf.reduce_sum(tf.cast(spare >= tf.constant(RATIOS[1:], tf.float32), tf.int32))
        return tf.switch_case(index, [lambda ratio=ratio: jpeg(data, ratio) for ratio in RATIOS])

    if decode == "image":
        return image
    if decode == "jpeg":
        return jpeg
    return lambda data: tf.cond(tf.io.is_jpeg(data), lambda: scaled(data), lambda: image(data))


def _spare(height: Any, width: Any, spec: BatchSpec) -> Any:
    """How many times the image may shrink before it has fewer pixels than the batch needs."""
    import tensorflow as tf

    larger = tf.maximum if spec.resize == "pad" else tf.minimum
    return larger(height, width) / float(spec.image_size)


def resizer(spec: BatchSpec) -> Callable[[Any], Any]:
    """From uint8 `[height, width, 3]` to `[image_size, image_size, 3]`, 0 to 255.

    The result is uint8 with "nearest" and float32, not rounded, with "bilinear".
    """
    import tensorflow as tf

    side = spec.image_size

    def resize(image: Any) -> Any:
        if spec.resize == "pad":
            image = tf.image.resize_with_pad(image, side, side, spec.interpolation, spec.antialias)
        else:
            if spec.resize == "crop":
                image = _centre_square(image)
            image = tf.image.resize(
                image, (side, side), spec.interpolation, antialias=spec.antialias
            )
        return tf.ensure_shape(image, (side, side, 3))

    return resize


def _centre_square(image: Any) -> Any:
    import tensorflow as tf

    shape = tf.shape(image)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def to_bytes(image: Any) -> Any:
    """Pixels of 0 to 255 as uint8, rounded."""
    import tensorflow as tf

    return image if image.dtype == tf.uint8 else tf.cast(tf.round(image), tf.uint8)


def to_range(images: Any, spec: BatchSpec) -> Any:
    """Pixels of 0 to 255 as float32 in the spec's value range."""
    import tensorflow as tf

    images = tf.cast(images, tf.float32) * spec.scale
    return images + spec.offset if spec.offset else images


def mirrored(images: Any, flips: Any) -> Any:
    """Mirror the flagged images: one image and a flag, or a batch and its flags."""
    import tensorflow as tf

    if images.shape.rank == 3:
        return tf.cond(flips, lambda: tf.reverse(images, [1]), lambda: images)
    # tf.reverse has a fast path for rank 3 alone, and tf.where is slow where it must broadcast:
    # together 5 times the rate of the plain words for it.
    lines = tf.reshape(images, (-1, images.shape[2], 3))
    turned = tf.reshape(tf.reverse(lines, [1]), tf.shape(images))
    return tf.raw_ops.Select(condition=flips, x=turned, y=images)
