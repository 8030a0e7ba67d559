"""The draws, their effect on an image, and that all loaders apply them alike."""

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from feedbench.loaders import Augment, BatchSpec, SpecError, open_loader, parse_spec, scan
from feedbench.loaders.augment.draws import (
    ANGLE,
    BRIGHTNESS,
    CONTRAST,
    CROP,
    FLIP,
    NEUTRAL,
    QUALITY,
    ZOOM,
)
from feedbench.loaders.augment.host import augmented, to_range
from feedbench.loaders.images.tensorflow_finish import to_range as to_range_by_tensorflow

ALL = Augment(
    horizontal_flip=True,
    rotation=20,
    zoom=(0.9, 1.2),
    crop=0.7,
    brightness=0.1,
    contrast=0.2,
    jpeg_quality=(40, 90),
)
VARIANTS = [
    ("keras_pil", {}),
    ("keras_pil", {"workers": 2}),
    ("keras_directory", {}),
    ("tf_data", {"output": "float32"}),
    ("tf_data", {"cache": "decoded"}),
    ("tf_data", {"cache": "encoded", "deterministic": False, "num_parallel_calls": 4}),
    ("turbo", {}),
    ("turbo", {"cache": "decoded", "output": "float32"}),
]


@pytest.fixture(scope="module")
def smooth() -> np.ndarray:
    """An image without sharp edges, on which resampling filters differ little."""
    y, x = np.mgrid[:64, :64] / 63
    return np.stack([255 * x, 255 * y, 127 + 100 * np.sin(3 * x * y)], -1).astype(np.uint8)


def draw(**columns) -> np.ndarray:
    values = NEUTRAL.copy()
    for name, value in columns.items():
        values[globals()[name]] = value
    return values[None]


def many(augment, rows=4_000):
    return augment.draw(1, np.zeros(rows, int), np.arange(rows))


def test_draws_are_uniform_within_their_ranges():
    drawn = many(ALL)
    for column, low, high in [
        (ANGLE, -20, 20),
        (ZOOM, 0.9, 1.2),
        (CROP, 0.7, 1),
        (BRIGHTNESS, -0.1, 0.1),
        (CONTRAST, 0.8, 1.2),
    ]:
        values = drawn[:, column]
        assert low - 1e-6 <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high + 1e-6
        assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)
    assert set(drawn[:, QUALITY].astype(int)) == set(range(40, 91))
    assert 0.45 < drawn[:, FLIP].mean() < 0.55
    correlation = np.corrcoef(np.delete(drawn, QUALITY, 1).T)
    assert np.abs(correlation - np.eye(len(correlation))).max() < 0.06


def test_a_draw_is_fixed_by_seed_epoch_row_and_copy():
    one = many(ALL)
    assert np.array_equal(one, many(ALL))
    assert np.array_equal(one[[7, 3]], ALL.draw(1, np.zeros(2, int), np.array([7, 3])))
    others = [
        ALL.draw(2, np.zeros(9, int), np.arange(9)),
        ALL.draw(1, np.ones(9, int), np.arange(9)),
        ALL.draw(1, np.zeros(9, int), np.arange(9), np.ones(9, int)),
    ]
    for other in others:
        assert (other[:, ANGLE] != one[:9, ANGLE]).all()
    assert np.array_equal(many(Augment()), np.tile(NEUTRAL, (4_000, 1)))


def test_each_augmentation_has_its_effect(smooth):
    batch = smooth[None]

    def augment(**columns):
        return augmented(batch, draw(**columns))[0].astype(int)

    assert np.array_equal(augment(), smooth)
    assert np.array_equal(augment(FLIP=1), smooth[:, ::-1])
    assert np.abs(augment(ANGLE=90) - np.rot90(smooth)).max() <= 1
    assert np.abs(augment(ANGLE=180) - smooth[::-1, ::-1]).max() <= 1
    middle = np.asarray(Image.fromarray(smooth).resize((64, 64), 2, (16, 16, 48, 48)), int)
    assert np.abs(augment(CROP=0.5) - middle)[2:-2, 2:-2].max() <= 3
    assert np.abs(augment(ZOOM=2) - middle)[2:-2, 2:-2].max() <= 3
    corner = np.asarray(Image.fromarray(smooth).resize((64, 64), 2, (0, 32, 32, 64)), int)
    assert np.abs(augment(CROP=0.5, LEFT=-1, TOP=1) - corner)[2:-2, 2:-2].max() <= 3
    brighter = np.clip(smooth.astype(int) + 51, 0, 255)
    assert np.abs(augment(BRIGHTNESS=0.2) - brighter).max() <= 1
    mean = smooth.mean((0, 1))
    assert np.abs(augment(CONTRAST=0.5) - (smooth - mean) / 2 - mean).max() <= 1
    coarse, fine = (np.abs(augment(QUALITY=q) - smooth).mean() for q in (5, 95))
    assert 0 < fine < 2 < coarse


LEFT, TOP = 4, 5


def images_of_rows(name, settings, manifest, spec):
    """Each row's images, one per epoch, in the order in which they came."""
    images_by_row = {row: [] for row in range(len(manifest))}
    with open_loader(name, manifest, spec, settings, epochs=2) as stream:
        for images, _, rows in stream:
            for image, row in zip(np.asarray(images), rows.tolist(), strict=True):
                images_by_row[row].append(np.asarray(image, np.uint8))
    return images_by_row


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_every_loader_augments_each_image_as_drawn(splits_folder, name, settings):
    manifest = scan(splits_folder).only("train")
    spec = BatchSpec(image_size=48, seed=4, value_range=(0, 255), augment=ALL)
    plain = images_of_rows(name, settings, manifest, spec.for_evaluation())
    images_by_row = images_of_rows(name, settings, manifest, spec)
    for row, images in images_by_row.items():
        drawn = ALL.draw(4, np.arange(2), np.array([row, row]))
        expected = list(augmented(np.stack([plain[row][0]] * 2), drawn))
        if settings.get("deterministic") is False:  # an image may overtake the epoch before
            images, expected = sorted(images, key=bytes), sorted(expected, key=bytes)
        assert np.array_equal(images, expected)


def test_batches_hold_the_devices_part_of_the_draws(splits_folder):
    manifest = scan(splits_folder).only("train")
    split = ALL.model_copy(update={"on_device": ("rotation", "brightness")})
    spec = BatchSpec(batch_size=8, image_size=32, augment=split)
    for name in ("keras_pil", "keras_directory", "tf_data", "synthetic"):
        with open_loader(name, manifest, spec, epochs=1) as stream:
            batch = next(stream)
        drawn = ALL.draw(0, np.zeros(8, int), batch.rows)
        assert batch.device_draws.shape == (8, 10)
        assert np.array_equal(batch.device_draws[:, 9], drawn[:, BRIGHTNESS])
        assert (batch.device_draws[:, 8] == 1).all()
        angle = np.rad2deg(np.arctan2(batch.device_draws[:, 3], batch.device_draws[:, 0]))
        assert np.allclose(angle, drawn[:, ANGLE], atol=1e-3)
    host = split.for_host(ALL.draw(0, np.zeros(8, int), batch.rows))
    assert (host[:, ANGLE] == 0).all()
    assert (host[:, ZOOM] != 1).all()
    with open_loader("tf_data", manifest, spec.for_evaluation(), epochs=1) as stream:
        assert next(stream).device_draws is None


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"rotation": 181}, "augment.rotation"),
        ({"zoom": [1.2, 0.9]}, "zoom must be two factors above 0, the smaller first"),
        ({"jpeg_quality": [90, 40]}, "jpeg_quality must be the lower and the upper bound"),
        ({"jpeg_quality": [0, 40]}, "augment.jpeg_quality"),
        ({"on_device": ["rotation"]}, "rotation, which is off"),
        ({"on_device": ["jpeg_quality"]}, "augment.on_device"),
        ({"shear": 3}, "there is no 'augment.shear'"),
    ],
)
def test_invalid_augmentation_is_refused(augment, message):
    with pytest.raises(SpecError, match=message):
        parse_spec({"augment": augment})
    with pytest.raises(ValidationError):
        Augment(**augment)


def test_a_list_of_names_is_still_accepted():
    assert parse_spec({"augment": ["horizontal_flip"]}).augment == Augment(horizontal_flip=True)


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0, 255), "imagenet"])
def test_numpy_and_tensorflow_give_the_same_value_range(value_range):
    spec = BatchSpec(value_range=value_range)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.float32)
    if value_range == "imagenet":
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        expected = (pixels / 255 - mean) / deviation
    else:
        expected = value_range[0] + pixels * (value_range[1] - value_range[0]) / 255
    assert np.allclose(to_range_by_tensorflow(pixels, spec), expected, atol=1e-5)
    assert np.allclose(to_range(pixels.copy(), spec), expected, atol=1e-5)
