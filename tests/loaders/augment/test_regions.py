"""Random-resized crops: how regions are drawn, and that NumPy and TensorFlow cut the same."""

import math

import numpy as np
import pytest

from feedbench.loaders import Augment, BatchSpec, Order, SpecError, parse_spec
from feedbench.loaders.augment.regions import COLUMNS, HIGH, LOW, TRIES, Region, region_in
from feedbench.loaders.images.tensorflow_region import region_in_graph

USUAL = Augment(random_resized_crop=(0.08, 1))
SIZES = [(375, 500), (500, 375), (224, 224), (1, 1), (1, 500), (500, 1), (200, 30_000), (13, 7)]


def crops(augment, rows=2_000, seed=1):
    return augment.draw_crops(seed, np.zeros(rows, int), np.arange(rows))


def test_areas_and_aspect_ratios_are_as_in_the_papers():
    regions = [region_in(2_000, 2_000, crop) for crop in crops(USUAL)]
    areas = np.array([one.height * one.width for one in regions]) / 2_000**2
    ratios = np.log([one.width / one.height for one in regions])
    bound = math.log(4 / 3)
    assert 0.079 < areas.min() < 0.1
    assert 0.9 < areas.max() <= 1
    # Uniform, except that wide regions of nearly all of the area do not fit and are drawn again.
    assert (np.histogram(areas, 4, (0.08, 1))[0][:3] > 0.23 * len(areas)).all()
    assert -bound - 0.01 < ratios.min() < -0.9 * bound
    assert 0.9 * bound < ratios.max() < bound + 0.01
    assert abs(ratios.mean()) < 0.02
    assert abs((ratios < 0).mean() - 0.5) < 0.04


def test_positions_are_uniform_over_the_room_that_is_left():
    regions = [region_in(300, 500, crop) for crop in crops(USUAL)]
    tops = [one.top / (300 - one.height) for one in regions if one.height < 200]
    lefts = [one.left / (500 - one.width) for one in regions if one.width < 300]
    for places in (tops, lefts):
        assert 0 <= min(places) < 0.02
        assert 0.98 < max(places) <= 1
        assert abs(np.mean(places) - 0.5) < 0.03
        assert (np.histogram(places, 5, (0, 1))[0] > 0.15 * len(places)).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("ratio", [(3 / 4, 4 / 3), (0.1, 0.2), (3, 3)])
def test_a_region_lies_in_its_image(height, width, ratio):
    for crop in crops(Augment(random_resized_crop=(0.08, 1), aspect_ratio=ratio), 300):
        top, left, down, across = region_in(height, width, crop)
        assert down > 0 < across
        assert 0 <= top <= height - down
        assert 0 <= left <= width - across


def test_what_never_fits_gives_the_largest_centre_crop_within_the_ratios():
    whole = np.full(COLUMNS, 2, np.float32)  # each try is twice as wide and high as the image
    whole[LOW], whole[HIGH] = 3 / 4, 4 / 3
    assert region_in(300, 900, whole) == Region(0, 250, 300, 400)
    assert region_in(900, 300, whole) == Region(250, 0, 400, 300)
    assert region_in(300, 300, whole) == Region(0, 0, 300, 300)


def test_the_first_try_that_fits_is_taken():
    crop = np.full(COLUMNS, 2, np.float32)
    crop[4:6] = 0.5, 0.25
    crop[6:8] = 0.75, 0.75
    crop[2 * TRIES : 2 * TRIES + 2] = 0, 1
    assert region_in(100, 100, crop) == Region(75, 0, 25, 50)


def test_numpy_and_tensorflow_cut_the_same_region():
    import tensorflow as tf

    random = np.random.default_rng(0)
    sizes = np.array(SIZES + random.integers(1, 5_000, (400, 2)).tolist(), np.int32)
    wide = Augment(random_resized_crop=(0.2, 0.9), aspect_ratio=(0.3, 3))
    for augment in (USUAL, wide):
        drawn = crops(augment, len(sizes))
        pairs = tf.data.Dataset.from_tensor_slices((sizes, drawn)).map(region_in_graph)
        ours = [region_in(*size, crop) for size, crop in zip(sizes.tolist(), drawn, strict=True)]
        assert [one.tolist() for one in pairs.as_numpy_iterator()] == [list(one) for one in ours]


def test_a_region_is_fixed_by_seed_epoch_row_and_copy():
    one = crops(USUAL, 9)
    assert np.array_equal(one, crops(USUAL, 9))
    assert np.array_equal(one[[7, 3]], USUAL.draw_crops(1, np.zeros(2, int), np.array([7, 3])))
    for other in (
        crops(USUAL, 9, seed=2),
        USUAL.draw_crops(1, np.ones(9, int), np.arange(9)),
        USUAL.draw_crops(1, np.zeros(9, int), np.arange(9), np.ones(9, int)),
    ):
        assert (other[:, :LOW] != one[:, :LOW]).all()


def test_an_order_has_regions_only_if_they_are_asked_for():
    assert Order(10, 4).crops(0, 4) is None
    order = Order(10, 4, seed=1, augment=USUAL)
    rows = order.rows(8, 12)
    expected = USUAL.draw_crops(1, np.array([0, 0, 1, 1]), rows)
    assert np.array_equal(order.crops(8, 12), expected)


def test_other_augmentations_keep_their_values():
    both = Augment(rotation=20, random_resized_crop=(0.08, 1))
    rows = np.arange(50)
    alone = Augment(rotation=20).draw(1, 0 * rows, rows)
    assert np.array_equal(both.draw(1, 0 * rows, rows), alone)
    assert both.on_host == Augment(rotation=20)
    assert both.only_regions == USUAL
    assert not USUAL.on_host
    assert USUAL


def test_a_region_of_a_shrunk_image_lies_in_it_and_covers_the_same():
    random = np.random.default_rng(0)
    for _ in range(500):
        height, width = (int(side) for side in random.integers(1, 900, 2))
        region = region_in(height, width, crops(USUAL, 1, int(random.integers(2**31)))[0])
        for ratio in (1, 2, 4, 8):
            down, across = -(-height // ratio), -(-width // ratio)
            part = region.shrunk(ratio, down, across)
            assert part.height > 0 < part.width
            assert 0 <= part.top <= down - part.height
            assert 0 <= part.left <= across - part.width
            assert abs(part.top * ratio - region.top) <= ratio
            assert abs(part.height * ratio - region.height) <= 2 * ratio
        assert region.shrunk(1, height, width) == region


def test_evaluation_takes_whole_images():
    spec = BatchSpec(resize="crop", augment=USUAL)
    assert spec.for_evaluation() == BatchSpec(resize="crop", shuffle=False)
    assert spec.as_resized().resize == "stretch"
    assert spec.for_evaluation().as_resized().resize == "crop"


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"random_resized_crop": [0, 1]}, "augment.random_resized_crop: must be two numbers"),
        ({"random_resized_crop": [0.08, 1.5]}, "augment.random_resized_crop: must be two numbers"),
        ({"random_resized_crop": [1, 0.5]}, "must be the lower and the upper bound"),
        ({"aspect_ratio": [1, 2]}, "aspect_ratio needs random_resized_crop"),
        (
            {"random_resized_crop": [0.08, 1], "aspect_ratio": [2, 1]},
            "aspect_ratio must be two ratios above 0, the smaller first",
        ),
        (
            {"random_resized_crop": [0.08, 1], "aspect_ratio": [1, float("inf")]},
            "aspect_ratio: must be a finite number, got inf",
        ),
        (
            {"random_resized_crop": [0.08, 1], "on_device": ["random_resized_crop"]},
            "augment.on_device",
        ),
    ],
)
def test_impossible_regions_are_refused(augment, message):
    with pytest.raises(SpecError, match=message):
        parse_spec({"augment": augment})
