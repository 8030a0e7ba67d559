"""Random-resized crops inside a TensorFlow graph, of the regions that `augment.regions` cuts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feedbench.loaders.augment.regions import HIGH, LEFT, LOW, TOP, TRIES


def region_in_graph(shape: Any, crop: Any) -> Any:
    """Top, left, height and width, int32 `[4]`, of an image of shape `[height, width, …]`.

    Args:
        crop: the candidates, float32 `[COLUMNS]`.
    """
    import tensorflow as tf

    values = tf.cast(crop, tf.float64)  # as in NumPy: float32 would round otherwise
    size = tf.cast(shape[:2], tf.float64)
    candidates = tf.reshape(values[: 2 * TRIES], (TRIES, 2))[:, ::-1]
    candidates = tf.round(tf.sqrt(size[0] * size[1]) * candidates)
    fits = tf.reduce_all((candidates > 0) & (candidates <= size), axis=1)
    first = tf.argmax(tf.cast(fits, tf.int32))
    room = size - candidates[first]
    fractions = tf.stack([values[TOP], values[LEFT]])
    begin = tf.minimum(tf.floor(fractions * (room + 1)), room)
    drawn = tf.concat([begin, candidates[first]], 0)
    region = tf.where(tf.reduce_any(fits), drawn, _centre(size, values[LOW], values[HIGH]))
    return tf.cast(region, tf.int32)


def _centre(size: Any, low: Any, high: Any) -> Any:
    import tensorflow as tf

    bounds = tf.round(tf.stack([size[1] / low, size[0] * high]))
    largest = tf.minimum(tf.maximum(bounds, 1), size)
    return tf.concat([(size - largest) // 2, largest], 0)


def cut(image: Any, crop: Any) -> Any:
    """A random-resized crop of an image, at its own size."""
    import tensorflow as tf

    top, left, height, width = tf.unstack(region_in_graph(tf.shape(image), crop))
    return image[top : top + height, left : left + width]


def jpeg_region(
    ratios: tuple[int, ...], limit: Callable[[Any], Any], options: dict[str, Any]
) -> Callable[[Any, Any], Any]:
    """A function from the bytes of a JPEG and a crop to the pixels of its region alone.

    Args:
        ratios: by which an image may be shrunk while it is decoded.
        limit: how many times a region of this shape can be shrunk.
        options: of `decode_and_crop_jpeg`.
    """
    import tensorflow as tf

    def decoded(data: Any, region: Any, ratio: int) -> Any:
        return tf.image.decode_and_crop_jpeg(data, region, channels=3, ratio=ratio, **options)

    def decode(data: Any, crop: Any) -> Any:
        shape = tf.io.extract_jpeg_shape(data)
        region = region_in_graph(shape, crop)
        if ratios == (1,):
            return decoded(data, region, 1)
        possible = limit(tf.cast(region[2:], tf.float32)) >= tf.constant(ratios[1:], tf.float32)
        index = tf.reduce_sum(tf.cast(possible, tf.int32))
        part = _shrunk(region, tf.gather(tf.constant(ratios), index), shape[:2])
        return tf.switch_case(
            index, [lambda ratio=ratio: decoded(data, part, ratio) for ratio in ratios]
        )

    return decode


def _shrunk(region: Any, ratio: Any, shape: Any) -> Any:
    """The region in the image shrunk by a ratio."""
    import tensorflow as tf

    within = -(-shape // ratio)
    first = tf.minimum((2 * region[:2] + ratio) // (2 * ratio), within - 1)
    last = tf.minimum((2 * (region[:2] + region[2:]) + ratio) // (2 * ratio), within)
    return tf.concat([first, tf.maximum(last - first, 1)], 0)
