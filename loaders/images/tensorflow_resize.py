"""Resizing inside a TensorFlow graph, by the geometry that all loaders share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feedbench.loaders.images.geometry import centre_square, centred, padded_size
from feedbench.loaders.spec import BatchSpec


def resizer(spec: BatchSpec) -> Callable[[Any], Any]:
    """A function from uint8 `[height, width, 3]` to `[image_size, image_size, 3]`, 0 to 255.

    It returns uint8 with "nearest" and float32, not rounded, with "bilinear".
    """
    import tensorflow as tf

    side = spec.image_size

    def resize(image: Any) -> Any:
        if spec.resize == "pad":
            image = _padded(image, spec)
        else:
            if spec.resize == "crop":
                image = _centre_square(image)
            image = tf.image.resize(
                image, (side, side), spec.interpolation, antialias=spec.antialias
            )
        return tf.ensure_shape(image, (side, side, 3))

    return resize


def _padded(image: Any, spec: BatchSpec) -> Any:
    """Fitted into the square and centred on black; `resize_with_pad` fails on long images."""
    import tensorflow as tf

    def whole(length: Any) -> Any:
        return tf.cast(length, tf.int32)

    side = spec.image_size
    shape = tf.cast(tf.shape(image), tf.float64)
    size = padded_size(shape[0], shape[1], side, larger=tf.maximum, whole=whole)
    image = tf.image.resize(image, size, spec.interpolation, antialias=spec.antialias)
    top, left = (centred(length, side) for length in size)
    return tf.image.pad_to_bounding_box(image, top, left, side, side)


def _centre_square(image: Any) -> Any:
    import tensorflow as tf

    shape = tf.shape(image)
    top, left, side = centre_square(shape[0], shape[1], smaller=tf.minimum)
    return image[top : top + side, left : left + side]
