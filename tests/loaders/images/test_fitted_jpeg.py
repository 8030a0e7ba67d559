"""JPEGs that the compiled module decodes and resizes have the pixels of decoding, then resizing."""

import io
from itertools import product

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from feedbench.loaders import Augment, BatchSpec, ImageError, open_loader, scan
from feedbench.loaders.images import jpeg_region
from feedbench.loaders.images.fitted_jpeg import fit_jpeg, fitting
from feedbench.loaders.images.jpeg_region import compiled_module
from feedbench.loaders.images.libjpeg_turbo import Scratch, decoded_jpeg
from feedbench.loaders.images.resize import fit_into

pytestmark = pytest.mark.skipif(
    compiled_module() is None,
    reason="not compiled: it is, when Feedbench is installed with a C compiler and jpeglib.h",
)
CUT = Augment(random_resized_crop=(0.08, 1))
SIZES = ((333, 257), (96, 128), (448, 448), (40, 300), (31, 17), (1, 90), (90, 1), (1, 1))
FILTERS = ("nearest", "bilinear")


def noise(height, width):
    """Neighbours differ, so that a shift by one pixel shows."""
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def saved(pixels, **options):
    data = io.BytesIO()
    image = Image.fromarray(pixels).convert(options.pop("mode", "RGB"))
    image.save(data, "JPEG", **{"quality": 85, "subsampling": 2, **options})
    return data.getvalue()


def files():
    for height, width in SIZES:
        yield saved(noise(height, width))
    odd = noise(333, 257)
    for options in (
        {"subsampling": 0},
        {"subsampling": 1},
        {"mode": "L"},
        {"keep_rgb": True, "subsampling": 0},
        {"progressive": True},
        {"restart_marker_blocks": 3},
    ):
        yield saved(odd, **options)
    for subsampling in ("440", "411"):
        yield simplejpeg.encode_jpeg(odd, 85, colorsubsampling=subsampling)


FILES = list(files())


def expected(data, spec, scaled, crop=None):
    into = np.full((spec.image_size, spec.image_size, 3), 9, np.uint8)
    pixels = decoded_jpeg(data, spec, Scratch(), scaled=scaled, crop=crop)
    fit_into(pixels, spec, into)
    return into


def fitted(data, spec, scaled, crop=None):
    into = np.full((spec.image_size, spec.image_size, 3), 9, np.uint8)
    assert fit_jpeg(data, fitting(spec, scaled=scaled), into, crop)
    return into


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_the_pixels_are_those_of_opencv(interpolation, resize, scaled):
    for side, data in product((1, 33, 64, 224), FILES):
        spec = BatchSpec(image_size=side, resize=resize, interpolation=interpolation)
        if scaled and len(data) < 700:
            continue  # simplejpeg may shrink a few pixels more
        assert np.array_equal(fitted(data, spec, scaled), expected(data, spec, scaled))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_crops_have_the_pixels_of_opencv(interpolation, scaled):
    spec = BatchSpec(image_size=48, interpolation=interpolation, augment=CUT)
    crops = CUT.draw_crops(0, np.zeros(40, int), np.arange(40))
    for data, crop in product(FILES, crops):
        same = fitted(data, spec, scaled, crop) == expected(data, spec, scaled, crop)
        assert same.all()


@pytest.mark.parametrize("interpolation", FILTERS)
def test_rows_are_resized_to_any_size_as_by_opencv(interpolation):
    random = np.random.default_rng(1)
    for _ in range(60):
        height, width, side = (int(length) for length in random.integers(1, 500, 3))
        data = saved(noise(height, width), subsampling=0)
        spec = BatchSpec(image_size=side, interpolation=interpolation)
        assert np.array_equal(fitted(data, spec, False), expected(data, spec, False))


def test_plain_c_gives_the_pixels_of_the_vectors():
    spec = BatchSpec(image_size=37, interpolation="bilinear")
    whole = simplejpeg.decode_jpeg(FILES[0])
    resized = cv2.resize(whole, (37, 37), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(fitted(FILES[0], spec, False), resized)  # the last pixel is of plain C


def test_memory_that_is_too_small_or_of_another_type_is_refused():
    how = fitting(BatchSpec(image_size=32), scaled=False)
    crop = CUT.draw_crops(0, np.zeros(1, int), np.zeros(1, int))[0]
    with pytest.raises(ValueError, match="too small"):
        fit_jpeg(FILES[0], how, np.empty((32, 31, 3), np.uint8))
    with pytest.raises(ValueError, match="too small"):
        fit_jpeg(FILES[0], how, np.empty((32, 32, 3), np.uint8), crop[:-1])
    for into in (np.empty((32, 32, 3)), np.empty((3, 32, 32), np.uint8).T):
        with pytest.raises(TypeError):
            fit_jpeg(FILES[0], how, into)
    with pytest.raises(TypeError, match="float32"):
        fit_jpeg(FILES[0], how, np.empty((32, 32, 3), np.uint8), crop.astype(float))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -5, 1e30, 2**31])
@pytest.mark.parametrize("columns", [range(20), (20, 21), (22,), (23,), range(24)])
def test_no_crop_reads_beyond_the_image(value, columns):
    how, into = fitting(BatchSpec(image_size=32), scaled=False), np.empty((32, 32, 3), np.uint8)
    crop = np.full(24, 0.5, np.float32)
    crop[list(columns)] = value
    assert fit_jpeg(FILES[0], how, into, crop)


def test_more_pixels_than_pillow_allows_are_refused():
    how = fitting(BatchSpec(image_size=32), scaled=False)
    into = np.empty((32, 32, 3), np.uint8)
    assert fit_jpeg(FILES[0], how._replace(most_pixels=333 * 257), into)
    assert not fit_jpeg(FILES[0], how._replace(most_pixels=333 * 257 - 1), into)


@pytest.mark.parametrize("fast", [False, True])
def test_progressive_images_without_all_scans_are_left_to_one_decoder(fast):
    """Versions of libjpeg-turbo show other pixels for the coefficients that are missing."""
    data = saved(noise(333, 257), progressive=True)
    how, into = fitting(BatchSpec(image_size=32), scaled=fast), np.empty((32, 32, 3), np.uint8)
    out = np.empty(333 * 257 * 3, np.uint8)
    assert fit_jpeg(data, how, into)
    assert compiled_module().decode(data, 1, fast, 0, 0, 333, 257, out) == (0, 257)
    scans = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    for scan_at in scans[1:]:
        incomplete = data[:scan_at] + b"\xff\xd9"
        simplejpeg.decode_jpeg(incomplete)  # without a warning
        assert not fit_jpeg(incomplete, how, into)
        assert compiled_module().decode(incomplete, 1, fast, 0, 0, 333, 257, out) is None


def test_pillow_antialiases():
    spec = BatchSpec(interpolation="bilinear", antialias=True)
    assert fitting(spec, scaled=False) is None


def written(folder, contents):
    (folder / "any").mkdir()
    for number, data in enumerate(contents):
        (folder / "any" / f"{number:02}.jpg").write_bytes(data)


@pytest.mark.parametrize("orientation", ["ignore", "apply"])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_turbo_gives_the_same_batches_without_the_module(
    tmp_path, monkeypatch, with_facts, orientation, interpolation
):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(noise(60, 90), exif=exif)
    written(tmp_path, [*FILES, turned, saved(noise(9, 9), mode="CMYK")])
    (tmp_path / "any" / "other.png").write_bytes(b"")
    Image.fromarray(noise(30, 20)).save(tmp_path / "any" / "other.png")
    manifest = with_facts(scan(tmp_path, validation=0, test=0))
    spec = BatchSpec(
        batch_size=6, image_size=48, interpolation=interpolation, orientation=orientation
    )

    def batches():
        with open_loader("turbo", manifest, spec, epochs=1) as stream:
            return [np.array(batch.images) for batch in stream]

    first = batches()
    monkeypatch.setattr(jpeg_region, "compiled_module", lambda: None)
    monkeypatch.setattr("feedbench.loaders.images.fitted_jpeg.compiled_module", lambda: None)
    assert all(map(np.array_equal, first, batches()))
    assert len(first) == -(-len(manifest) // 6)


def test_a_file_that_no_decoder_reads_is_named(tmp_path):
    written(tmp_path, [FILES[1], FILES[1][:200]])
    spec = BatchSpec(batch_size=2, image_size=16)
    with (
        open_loader("turbo", scan(tmp_path, validation=0, test=0), spec, epochs=1) as stream,
        pytest.raises(ImageError, match=r"01\.jpg"),
    ):
        next(stream)
