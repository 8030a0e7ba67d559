"""What follows resizing inside a TensorFlow graph: rounding, augmentation and the value range."""

from __future__ import annotations

from typing import Any

from feedbench.loaders.augment.draws import FLIP
from feedbench.loaders.augment.host import augmented
from feedbench.loaders.spec import BatchSpec
from feedbench.loaders.value_range import Channels


def to_bytes(image: Any) -> Any:
    """Pixels of 0 to 255 as uint8, rounded."""
    import tensorflow as tf

    return image if image.dtype == tf.uint8 else tf.cast(tf.round(image), tf.uint8)


def to_range(images: Any, spec: BatchSpec) -> Any:
    """Pixels of 0 to 255 as float32 in the spec's value range."""
    import tensorflow as tf

    images = tf.cast(images, tf.float32) * _scalar_if_equal(spec.scale)
    return images + _scalar_if_equal(spec.offset) if any(spec.offset) else images


def _scalar_if_equal(channels: Channels) -> Any:
    """One number for all channels if they are equal: far faster than one per channel."""
    return channels[0] if len(set(channels)) == 1 else list(channels)


def augment(images: Any, draws: Any, spec: BatchSpec) -> Any:
    """Pixels of 0 to 255 after the host's part of the augmentation; an image or a batch.

    Flips are TensorFlow's own and keep the dtype; everything else is OpenCV's, needs a batch and
    returns uint8.
    """
    import tensorflow as tf

    on_host = spec.augment.on_host
    if not on_host:
        return images
    if on_host.only_flips:
        return flip(images, draws[..., FLIP] > 0)

    def by_opencv(images: Any, draws: Any) -> Any:
        return augmented(images, spec.augment.for_host(draws))

    pixels = to_bytes(images)
    result = tf.numpy_function(by_opencv, [pixels, draws], tf.uint8)
    return tf.ensure_shape(result, pixels.shape)


def flip(images: Any, flips: Any) -> Any:
    """Mirror the flagged images: one image and a flag, or a batch and its flags."""
    import tensorflow as tf

    if images.shape.rank == 3:
        return tf.cond(flips, lambda: tf.reverse(images, [1]), lambda: images)
    # tf.reverse has a fast path for rank 3 only, and tf.where is slow if it has to broadcast: this
    # is 5 times as fast as the obvious tf.where(flips, tf.reverse(images), images).
    lines = tf.reshape(images, (-1, images.shape[2], 3))
    mirrored = tf.reshape(tf.reverse(lines, [1]), tf.shape(images))
    return tf.raw_ops.Select(condition=flips, x=mirrored, y=images)
