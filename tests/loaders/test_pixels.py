"""All loaders give the images that Pillow gives, with geometry, flips and value range."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import Augment, BatchSpec, open_loader, scan
from feedbench.loaders.augment.draws import FLIP
from feedbench.loaders.images.libjpeg_turbo import scaled_ratio

SIDE = 48
VARIANTS = [
    ("keras_pil", {}),
    ("keras_directory", {}),
    ("tf_data", {}),
    ("tf_data", {"output": "float32"}),
    ("tf_data", {"decode": "jpeg"}),
    ("tf_data", {"cache": "decoded"}),
    ("turbo", {}),
    ("turbo", {"output": "float32"}),
]


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


def images_by_row(name, settings, manifest, spec):
    """Each row's pixels, 0 to 255."""
    low, high = spec.value_range
    by_row = {}
    with open_loader(name, manifest, spec, settings, epochs=1) as stream:
        for images, _, rows in stream:
            images = np.asarray(images)
            pixels = images.astype(np.float32)
            if images.dtype != np.uint8:
                pixels = (pixels - low) / (high - low) * 255
            by_row.update(zip(rows.tolist(), pixels, strict=True))
    return by_row


@cache
def expected_image(path, resize, antialias, interpolation):
    """By Pillow alone; without antialiasing, computed from the four neighbours."""
    image = Image.open(path).convert("RGB")
    if resize == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    size = (SIDE, SIDE)
    if resize == "pad":
        ratio = max(image.size) / SIDE
        size = (int(image.width / ratio), int(image.height / ratio))
    if interpolation == "nearest":
        resized = np.asarray(image.resize(size, Image.Resampling.NEAREST), np.float32)
    elif antialias:
        resized = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)
    else:
        resized = bilinear(np.asarray(image, np.float32), size)
    canvas = np.zeros((SIDE, SIDE, 3), np.float32)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = resized
    return canvas


def bilinear(image, size):
    height, width = image.shape[:2]
    y = np.clip((np.arange(size[1]) + 0.5) * height / size[1] - 0.5, 0, height - 1)
    x = np.clip((np.arange(size[0]) + 0.5) * width / size[0] - 0.5, 0, width - 1)
    y0, x0 = y.astype(int), x.astype(int)
    y1, x1 = np.minimum(y0 + 1, height - 1), np.minimum(x0 + 1, width - 1)
    dy, dx = (y - y0)[:, None, None], (x - x0)[None, :, None]
    top = image[y0][:, x0] * (1 - dx) + image[y0][:, x1] * dx
    bottom = image[y1][:, x0] * (1 - dx) + image[y1][:, x1] * dx
    return top * (1 - dy) + bottom * dy


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(
    ("interpolation", "antialias"), [("nearest", False), ("bilinear", False), ("bilinear", True)]
)
@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_all_loaders_resize_like_pillow(manifest, name, settings, resize, interpolation, antialias):
    if antialias and name == "keras_directory":
        pytest.skip("refuses to antialias, see test_errors")
    spec = BatchSpec(
        batch_size=16,
        image_size=SIDE,
        resize=resize,
        shuffle=False,
        interpolation=interpolation,
        antialias=antialias,
        value_range=(-1, 1),
    )
    for row, pixels in images_by_row(name, settings, manifest, spec).items():
        expected = expected_image(manifest.path(row), resize, antialias, interpolation)
        difference = np.abs(pixels - expected)
        # TensorFlow's decode_image has no accurate DCT to choose; the others give Pillow's bytes.
        accurate = name in ("keras_pil", "turbo") or settings.get("decode") == "jpeg"
        assert difference.mean() < (1 if accurate else 3), manifest.path(row)
        assert np.percentile(difference, 99) < (8 if accurate else 14), manifest.path(row)


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_every_loader_flips_the_same_images(manifest, name, settings):
    spec = BatchSpec(batch_size=16, image_size=SIDE, seed=5)
    mirrored = spec.model_copy(update={"augment": Augment(horizontal_flip=True)})
    plain = images_by_row(name, settings, manifest, spec)
    rows = np.arange(len(manifest))
    flips = mirrored.augment.draw(5, np.zeros_like(rows), rows)[:, FLIP] > 0
    assert 0.2 < flips.mean() < 0.8
    for row, pixels in images_by_row(name, settings, manifest, mirrored).items():
        expected = plain[row][:, ::-1] if flips[row] else plain[row]
        assert np.allclose(pixels, expected, atol=1e-3)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_turbo_gives_exactly_the_pixels_of_load_img(manifest, resize):
    spec = BatchSpec(
        batch_size=16, image_size=SIDE, shuffle=False, resize=resize, value_range=(0, 255)
    )
    ours, theirs = (images_by_row(name, {}, manifest, spec) for name in ("turbo", "keras_pil"))
    assert all(np.array_equal(ours[row], theirs[row]) for row in theirs)


def test_scaled_decoding_keeps_the_pixels_that_the_batch_needs():
    spec = BatchSpec(image_size=100)
    assert [scaled_ratio(side, 900, spec) for side in (150, 199, 200, 399, 400, 800, 5000)] == [
        1, 1, 2, 2, 4, 8, 8,
    ]  # fmt: skip
    assert scaled_ratio(150, 900, spec.model_copy(update={"resize": "pad"})) == 8


def test_pillow_decodes_what_libjpeg_warns_about(manifest, tmp_path):
    """Extra bytes before the end: libjpeg-turbo warns, Pillow continues."""
    (tmp_path / "any").mkdir()
    whole = Path(manifest.path(0)).read_bytes()
    (tmp_path / "any" / "odd.jpg").write_bytes(whole.replace(b"\xff\xd9", b"\x00\x00\xff\xd9"))
    (tmp_path / "any" / "whole.jpg").write_bytes(whole)
    spec = BatchSpec(batch_size=2, image_size=SIDE, shuffle=False)
    odd = scan(tmp_path, validation=0, test=0)
    images = images_by_row("turbo", {}, odd, spec)
    assert np.array_equal(images[0], images[1])
