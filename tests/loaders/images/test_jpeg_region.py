"""A region that is decoded alone has the pixels of the whole image."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from feedbench.loaders import Augment, BatchSpec
from feedbench.loaders.augment.regions import Region
from feedbench.loaders.images import jpeg_region
from feedbench.loaders.images.jpeg_region import compiled_module, decoded_alone
from feedbench.loaders.images.libjpeg_turbo import Scratch, decoded_jpeg

compiled = pytest.mark.skipif(
    compiled_module() is None,
    reason="not compiled: it is, when Feedbench is installed with a C compiler and jpeglib.h",
)
AUGMENT = Augment(random_resized_crop=(0.08, 1))
SPEC = BatchSpec(image_size=32, augment=AUGMENT)


def photograph(height, width, mode="RGB"):
    random = np.random.default_rng(height)
    coarse = Image.fromarray(random.integers(0, 256, (9, 11, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + random.integers(-25, 26, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(mode)


def saved(image, **options):
    data = io.BytesIO()
    image.save(data, "JPEG", **{"quality": 90, **options})
    return data.getvalue()


def encoded(image, subsampling):
    return simplejpeg.encode_jpeg(np.asarray(image), 90, colorsubsampling=subsampling)


SMALL, ODD = photograph(96, 128), photograph(333, 257)
FILES = {
    "4:4:4": saved(ODD, subsampling=0),
    "4:2:2": saved(ODD, subsampling=1),
    "4:2:0": saved(ODD, subsampling=2),
    "4:2:0 of whole blocks": saved(SMALL, subsampling=2),
    "4:4:0": encoded(ODD, "440"),
    "4:1:1": encoded(ODD, "411"),
    "grey": saved(ODD.convert("L")),
    "RGB": saved(ODD, keep_rgb=True),
    "progressive": saved(ODD, progressive=True),
    "progressive 4:4:4": saved(ODD, progressive=True, subsampling=0),
    "restart markers": saved(ODD, restart_marker_rows=1),
    "many restart markers": saved(ODD, restart_marker_blocks=3),
    "a row": saved(photograph(1, 300)),
    "a column": saved(photograph(300, 1)),
    "a pixel": saved(photograph(1, 1)),
}


def whole(data, ratio, fast):
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    return simplejpeg.decode_jpeg(
        data,
        fastdct=fast,
        fastupsample=fast,
        min_height=-(-height // ratio),
        min_width=-(-width // ratio),
        min_factor=ratio,
    )


def random_regions(height, width, count=60):
    """Random ones, and those that touch the edges of the image."""
    random = np.random.default_rng(0)
    yield Region(0, 0, height, width)
    yield Region(height - 1, width - 1, 1, 1)
    yield Region(height // 2, 0, height - height // 2, width)
    yield Region(0, width // 2, height, width - width // 2)
    for _ in range(count):
        top, left = int(random.integers(height)), int(random.integers(width))
        down, across = random.integers(height - top) + 1, random.integers(width - left) + 1
        yield Region(top, left, int(down), int(across))


@compiled
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_region_has_the_pixels_of_the_whole_image(data, ratio, fast):
    pixels, scratch = whole(data, ratio, fast), Scratch()
    if pixels.size == 3 and ratio > 1:
        pytest.skip("simplejpeg may shrink a single pixel more")
    for region in random_regions(*pixels.shape[:2]):
        alone = decoded_alone(data, region, ratio, scratch, fast=fast)
        assert np.array_equal(alone, region.of(pixels)), region


@compiled
def test_several_threads_decode_regions_at_once():
    data, scratch = FILES["4:2:0"], Scratch()
    pixels = whole(data, 1, False)

    def is_right(region):
        alone = decoded_alone(data, region, 1, scratch, fast=False)
        return np.array_equal(alone, region.of(pixels))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(is_right, random_regions(333, 257, 400)))


@compiled
@pytest.mark.parametrize("progressive", [False, True])
def test_damage_is_seen_above_a_region_and_in_it_but_not_below(progressive):
    data = saved(ODD, subsampling=2, progressive=progressive)
    cut = data[: len(data) // 2]
    pixels, scratch = whole(data, 1, False), Scratch()
    top, bottom, everything = Region(0, 0, 40, 257), Region(250, 0, 40, 9), Region(0, 0, 333, 257)
    for region in (bottom, everything):
        assert decoded_alone(cut, region, 1, scratch, fast=False) is None
    seen = decoded_alone(cut, top, 1, scratch, fast=False)
    if progressive:  # all of its scans are read first
        assert seen is None
    else:
        assert np.array_equal(seen, top.of(pixels))


@compiled
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a JPEG",
        FILES["4:2:0"][:300],
        saved(photograph(40, 40, "CMYK")),
        FILES["4:2:0"].replace(b"\xff\xda", b"\xff\x00", 1),
    ],
    ids=["empty", "text", "header", "CMYK", "no scan"],
)
def test_what_cannot_be_decoded_gives_nothing(data):
    assert decoded_alone(data, Region(0, 0, 8, 8), 1, Scratch(), fast=False) is None


@compiled
@pytest.mark.parametrize(
    "region",
    [
        Region(0, 0, 0, 5),
        Region(330, 0, 4, 5),
        Region(0, 250, 4, 8),
        Region(400, 0, 1, 1),
        Region(0, 2**31, 1, 2**31),
        Region(2**32 - 1, 0, 2, 1),
    ],
)
def test_a_region_outside_of_the_image_gives_nothing(region):
    memory = np.empty(10_000, np.uint8)
    decode = compiled_module().decode
    assert decode(FILES["4:2:0"], 1, False, *region, memory) is None


@compiled
def test_memory_that_is_too_small_is_not_written_beyond():
    memory = np.zeros(10_000, np.uint8)
    decode = compiled_module().decode
    assert decode(FILES["4:2:0"], 1, False, 8, 16, 30, 60, memory[: 30 * 60 * 3]) is None
    assert not memory.any()
    first, columns = decode(FILES["4:2:0"], 1, False, 8, 16, 30, 60, memory)
    assert (first, columns) == (0, 78)
    assert not memory[30 * columns * 3 :].any()


@pytest.mark.parametrize("scaled", [False, True])
def test_the_same_pixels_come_without_the_compiled_module(monkeypatch, scaled):
    crops = AUGMENT.draw_crops(0, np.zeros(40, int), np.arange(40))

    def decoded():
        for data in FILES.values():
            for crop in crops:
                yield decoded_jpeg(data, SPEC, Scratch(), scaled=scaled, crop=crop).copy()

    first = list(decoded())
    monkeypatch.setattr(jpeg_region, "compiled_module", lambda: None)
    assert all(map(np.array_equal, first, decoded()))


def test_a_file_that_is_cut_short_goes_to_pillow_as_far_as_it_is_read():
    crop = AUGMENT.draw_crops(0, np.zeros(1, int), np.zeros(1, int))[0]
    crop[:2], crop[20:22] = 0.5, 1  # the last quarter
    data = FILES["4:2:0"]
    assert decoded_jpeg(data, SPEC, Scratch(), scaled=False, crop=crop) is not None
    assert decoded_jpeg(data[:-200], SPEC, Scratch(), scaled=False, crop=crop) is None
