"""Sizes and places of resized images are the same in Python and in a TensorFlow graph."""

import numpy as np
import pytest
import tensorflow as tf

from feedbench.loaders import BatchSpec
from feedbench.loaders.images.geometry import centre_square, centred, padded_size, shrink_limit

SIZES = [(1, 1), (1, 500), (300, 2), (97, 96), (480, 640), (4000, 3001)]


def whole(length):
    return tf.cast(length, tf.int32)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (100, 200, (112, 224)),
        (224, 224, (224, 224)),
        (1, 1, (224, 224)),
        (3, 1000, (1, 224)),  # would be 0 high
        (333, 1000, (74, 224)),  # 74.6, rounded down
    ],
)
def test_a_padded_image_fills_the_square_in_its_longer_direction(height, width, expected):
    assert padded_size(height, width, 224) == expected


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_graph_and_python_compute_the_same_sizes(height, width):
    pad = BatchSpec(image_size=224, resize="pad")
    shape = tf.constant([height, width])
    exact, single = tf.cast(shape, tf.float64), tf.cast(shape, tf.float32)
    in_graph = {"smaller": tf.minimum, "larger": tf.maximum}
    size = padded_size(exact[0], exact[1], 224, larger=tf.maximum, whole=whole)
    assert [int(length) for length in size] == list(padded_size(height, width, 224))
    square = centre_square(shape[0], shape[1], smaller=tf.minimum)
    assert [int(length) for length in square] == list(centre_square(height, width))
    for spec in (pad, pad.model_copy(update={"resize": "stretch"})):
        limit = shrink_limit(single[0], single[1], spec, **in_graph)
        assert float(limit) == pytest.approx(shrink_limit(height, width, spec))


@pytest.mark.parametrize(("height", "width"), [size for size in SIZES if min(size) > 2])
def test_a_padded_image_is_as_large_as_resize_with_pads(height, width):
    white = np.full((height, width, 3), 255, np.uint8)
    shown = np.asarray(tf.image.resize_with_pad(white, 224, 224, "nearest"))[..., 0] > 0
    assert (shown.any(1).sum(), shown.any(0).sum()) == padded_size(height, width, 224)


def test_the_centre_square_has_equal_margins():
    assert centred(3, 10) == 3
    assert centre_square(100, 301) == (0, 100, 100)
    assert centre_square(301, 100) == (100, 0, 100)


def test_an_image_may_shrink_until_the_batch_needs_every_pixel():
    spec = BatchSpec(image_size=100)
    assert shrink_limit(400, 900, spec) == 4
    assert shrink_limit(400, 900, spec.model_copy(update={"resize": "pad"})) == 9
