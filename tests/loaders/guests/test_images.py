"""Each decoder gives Pillow's pixels, and an error where Pillow gives one."""

import io

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import BatchSpec, ImageError, scan
from feedbench.loaders.guests.images import Images
from feedbench.loaders.images import picture

DECODERS = ("pillow", "opencv", "simplejpeg")
SPEC = BatchSpec(image_size=24)
every_decoder = pytest.mark.parametrize("decoder", DECODERS)


@pytest.fixture(scope="module")
def manifest(class_folder):
    return scan(class_folder, validation=0, test=0)


def saved(kind="JPEG", mode="RGB", size=(160, 120), **options):
    coarse = np.random.default_rng(3).integers(0, 256, (5, 6, 3), np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(manifest, decoder, data, decode="full"):
    return Images(manifest, SPEC, decoder, decode).decoded(0, b"photo", data).copy()


@every_decoder
@pytest.mark.parametrize(
    "data",
    [
        saved(quality=95, subsampling=0),
        saved(mode="L", quality=95),
        saved(mode="CMYK", quality=95, subsampling=0),
        saved(quality=95, subsampling=0, progressive=True),
        saved(quality=95, subsampling=0) + b"more",
        saved("PNG"),
        saved("PNG", "P"),
        saved("WEBP", lossless=True),
    ],
    ids=["plain", "grey", "cmyk", "progressive", "trailing", "png", "palette", "webp"],
)
def test_every_decoder_gives_pillows_pixels(manifest, decoder, data):
    expected = np.asarray(picture(io.BytesIO(data), SPEC), np.int16)
    found = decoded(manifest, decoder, data)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1


@every_decoder
def test_scaled_decoding_keeps_as_many_pixels_as_the_batch_needs(manifest, decoder):
    found = decoded(manifest, decoder, saved(quality=95, subsampling=0), "scaled")
    assert found.shape == (30, 40, 3)
    whole = decoded(manifest, "pillow", saved(quality=95, subsampling=0))
    means = whole.reshape(30, 4, 40, 4, 3).mean((1, 3))
    assert np.abs(found - means).mean() < 2


@every_decoder
@pytest.mark.parametrize(("width", "height"), [(161, 121), (163, 99), (97, 400), (399, 200)])
def test_every_decoder_shrinks_sides_that_are_no_multiples(manifest, decoder, width, height):
    found = decoded(manifest, decoder, saved(size=(width, height)), "scaled")
    ratio = 8 if height == 200 else 4
    assert found.shape == (-(-height // ratio), -(-width // ratio), 3)


@every_decoder
@pytest.mark.parametrize("size", [(400, 3), (3, 400)])
def test_every_decoder_shrinks_long_images_that_are_padded(manifest, decoder, size):
    images = Images(manifest, SPEC.model_copy(update={"resize": "pad"}), decoder, "scaled")
    found = images.decoded(0, b"photo", saved(size=size))
    assert max(found.shape) < max(size)


@every_decoder
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (saved()[:-300], "truncated"),
        (b"", "unknown image format"),
        (b"\xff\xd8\xff no photograph", ""),
        (saved("PNG")[:500], ""),
    ],
    ids=["truncated", "empty", "noise", "png"],
)
def test_damaged_bytes_are_an_error_that_names_the_row(manifest, decoder, data, reason):
    with pytest.raises(ImageError, match=rf"^a photo: row 0: Pillow cannot read it: .*{reason}"):
        Images(manifest, SPEC, decoder, "full").decoded(0, b"a photo", data)


@every_decoder
def test_a_file_that_is_gone_is_an_error_of_the_system(manifest, decoder):
    into = np.empty((24, 24, 3), np.uint8)
    with pytest.raises(ImageError, match="row 3: the system cannot read it: No such file"):
        Images(manifest, SPEC, decoder, "full").load(3, b"/no/such/file.jpg", into)
