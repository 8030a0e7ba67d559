"""JPEGs that the compiled module decodes and resizes have the pixels of decoding, then resizing."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from feedbench.loaders import Augment, BatchSpec, ImageError, open_loader, scan
from feedbench.loaders.images import jpeg_region
from feedbench.loaders.images.fitted_jpeg import fill_from_files, fit_jpeg, fit_jpegs, fitting
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


def written(folder, contents):
    (folder / "any").mkdir()
    paths = []
    for number, data in enumerate(contents):
        path = folder / "any" / f"{number:02}.jpg"
        path.write_bytes(data)
        paths.append(os.fsencode(path))
    return paths


def filled(paths, spec, into, memory=None, crops=None, piece=None, stop=0):
    memory = np.empty(1 << 16, np.uint8) if memory is None else memory
    piece = range(len(paths)) if piece is None else piece
    how, stop = fitting(spec, scaled=False), np.array([stop], np.uint8)
    return fill_from_files(paths, piece, how, crops, memory, stop, into)


@pytest.mark.parametrize("room", [10, 1 << 20])
def test_files_are_filled_in_their_places(tmp_path, room):
    spec = BatchSpec(image_size=32)
    broken = [b"", b"text", FILES[0][:-30], saved(noise(9, 9), mode="CMYK")]
    paths = [*written(tmp_path, [*FILES, *broken]), b"missing", os.fsencode(tmp_path), b"a\0b"]
    into = np.full((len(paths), 32, 32, 3), 9, np.uint8)
    memory = np.empty(room, np.uint8)
    left = filled(paths, spec, into, memory)
    assert left == list(range(len(FILES), len(paths)))
    for data, image in zip(FILES, into, strict=False):
        assert np.array_equal(image, expected(data, spec, False))


def test_several_threads_fill_at_once(tmp_path):
    spec = BatchSpec(image_size=32, interpolation="bilinear", augment=CUT)
    paths = written(tmp_path, FILES)
    crops = CUT.draw_crops(0, np.zeros(len(paths), int), np.arange(len(paths)))

    def fill(_):
        into, memory = np.zeros((len(paths), 32, 32, 3), np.uint8), np.empty(1 << 16, np.uint8)
        assert not filled(paths, spec, into, memory, crops)
        return into

    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(fill, range(12))
    assert all(np.array_equal(first, other) for other in others)
    for data, crop, image in zip(FILES, crops, first, strict=True):
        assert np.array_equal(image, expected(data, spec, False, crop))


SMALL = BatchSpec(image_size=32, augment=CUT)


def batch_of(count):
    crops = CUT.draw_crops(0, np.zeros(count, int), np.arange(count))
    return np.zeros((count, 32, 32, 3), np.uint8), crops


def test_a_piece_of_a_batch_is_filled_in_its_place(tmp_path):
    paths = written(tmp_path, FILES)
    whole, crops = batch_of(len(FILES))
    assert not filled(paths, SMALL, whole, crops=crops)
    lengths = np.array([len(data) for data in FILES], np.int64)
    for piece in (range(3, 7), range(0), range(len(FILES) - 1, len(FILES))):
        from_files, from_memory = np.zeros_like(whole), np.zeros_like(whole)
        assert not filled(paths, SMALL, from_files, crops=crops, piece=piece)
        joined = b"".join(FILES[piece.start : piece.stop]) + b"rest"
        how = fitting(SMALL, scaled=False)
        assert not fit_jpegs(joined, lengths, piece, how, crops, from_memory)
        assert np.array_equal(from_files, from_memory)
        part = slice(piece.start, piece.stop)
        assert np.array_equal(from_files[part], whole[part])
        assert from_files.any(axis=(1, 2, 3)).sum() == len(piece)  # and no other


def test_what_is_no_jpeg_is_left_out_of_a_piece():
    contents = [FILES[0], b"", b"text", FILES[1], FILES[2][:-30]]
    lengths = np.array([len(data) for data in contents], np.int64)
    into, how = batch_of(5)[0], fitting(SMALL, scaled=False)
    assert fit_jpegs(b"".join(contents), lengths, range(5), how, None, into) == [1, 2, 4]
    assert np.array_equal(into[3], expected(FILES[1], SMALL, False))


def test_nothing_is_begun_after_a_stop(tmp_path):
    into, _ = batch_of(len(FILES))
    left = filled(written(tmp_path, FILES), SMALL, into, piece=range(2, 6), stop=1)
    assert left == [2, 3, 4, 5]
    assert not into.any()


@pytest.mark.parametrize("piece", [range(-1, 1), range(3, 2), range(2, 4)])
def test_a_piece_that_is_not_in_the_batch_is_refused(tmp_path, piece):
    paths, (into, _) = written(tmp_path, FILES[:3]), batch_of(3)
    with pytest.raises(ValueError, match=r"places in the batch|too small"):
        filled(paths, SMALL, into, piece=piece)
    with pytest.raises(ValueError, match=r"places in the batch|too small"):
        fit_jpegs(b"", np.zeros(3, np.int64), piece, fitting(SMALL, scaled=False), None, into)


def test_bytes_that_are_too_few_for_their_lengths_are_refused():
    into, how = batch_of(2)[0], fitting(SMALL, scaled=False)
    for lengths in ([5, 5], [-1, 3], [2**62, 2**62], [4]):
        with pytest.raises(ValueError, match="too small for the images"):
            fit_jpegs(bytes(9), np.array(lengths, np.int64), range(2), how, None, into)


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
    with pytest.raises(TypeError):
        filled(["text"], SMALL, np.empty((1, 32, 32, 3), np.uint8), np.empty(9, np.uint8))


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
