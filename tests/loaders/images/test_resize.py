"""Images resized with OpenCV are Pillow's."""

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import BatchSpec
from feedbench.loaders.images.pillow import fitted
from feedbench.loaders.images.resize import fit_into, shrunk

SIZES = [(48, 48), (97, 31), (31, 200), (5, 3), (1, 1)]


def noise(size):
    """Every pixel differs from its neighbours: a shift by one shows."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(
    ("interpolation", "antialias", "levels"),
    [("nearest", False, 0), ("bilinear", False, 1), ("bilinear", True, 0)],
)
def test_the_result_is_pillows(size, resize, interpolation, antialias, levels):
    spec = BatchSpec(image_size=40, resize=resize, interpolation=interpolation, antialias=antialias)
    image = noise(size)
    into = np.full((40, 40, 3), 9, np.uint8)
    fit_into(image, spec, into)
    expected = np.asarray(fitted(Image.fromarray(image), spec))
    assert np.abs(into.astype(int) - expected).max() <= levels


def test_only_the_given_part_of_a_batch_is_written():
    batch = np.zeros((3, 8, 8, 3), np.uint8)
    fit_into(np.full((5, 9, 3), 200, np.uint8), BatchSpec(image_size=8), batch[1])
    assert (batch[1] == 200).all()
    assert not batch[[0, 2]].any()


def test_a_shrunk_image_has_its_longer_side():
    assert shrunk(noise((300, 100)), 60).shape == (60, 20, 3)
    assert shrunk(noise((100, 300)), 60).shape == (20, 60, 3)
    assert shrunk(noise((1, 1_000)), 10).shape == (1, 10, 3)


def test_a_small_image_is_not_shrunk():
    image = noise((60, 40))
    assert shrunk(image, 60) is image


def test_each_pixel_of_a_shrunk_image_is_the_mean_of_its_area():
    image = noise((80, 40))
    means = image.reshape(20, 4, 10, 4, 3).mean((1, 3))
    assert np.abs(shrunk(image, 20) - means).max() <= 0.5 + 1e-6


def other_rows(size, side):
    """How many of the rows that TensorFlow picks are not those that Pillow picks."""
    import tensorflow as tf

    rows = np.arange(size, dtype=np.int32)[:, None]
    (picked,) = tf.image.resize(rows[None, ..., None], (side, 1), "nearest").numpy()[..., 0]
    expected = np.asarray(Image.fromarray(rows).resize((1, side), Image.Resampling.NEAREST))
    assert np.abs(picked - expected).max() <= 1
    return int((picked != expected).sum())


def test_tensorflow_picks_neighbors_of_some_rows_at_some_sizes():
    """It computes positions in float32, and some lie exactly between two rows."""
    assert [other_rows(size, 224) > 0 for size in (500, 640, 800, 1920)] == [0, 1, 0, 1]
    assert max(other_rows(size, 224) for size in (512, 640, 1920)) <= 25
    assert other_rows(204, 299) > 0
    assert {other_rows(size, 256) for size in range(200, 2001, 40)} == {0}
