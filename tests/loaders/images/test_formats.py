"""Every format that Pillow and TensorFlow can read gives the same pixels in all loaders."""

import io

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import BatchSpec, ImageError, open_loader, scan

SIDE = 32


def saved(image, extension, **options):
    data = io.BytesIO()
    image.save(data, {"jpg": "JPEG", "tif": "TIFF"}.get(extension, extension), **options)
    return data.getvalue()


def opened(path):
    with Image.open(path) as image:
        return image.convert("RGB")


@pytest.fixture(scope="module")
def formats(tmp_path_factory, splits_folder):
    """One class with all kinds of JPEG, PNG, GIF and BMP."""
    root = tmp_path_factory.mktemp("formats")
    (root / "any").mkdir()
    photo = opened(splits_folder / "train" / "ant" / "00.jpg")
    veil = photo.convert("RGBA")
    veil.putalpha(photo.convert("L"))
    colours, first = photo.quantize(64), photo.quantize(9)
    files = {
        "444.jpg": saved(photo, "jpg", subsampling=0),
        "animated.gif": saved(first, "gif", save_all=True, append_images=[colours]),
        "cmyk.jpg": saved(photo.convert("CMYK"), "jpg"),
        "gray.jpg": saved(photo.convert("L"), "jpg"),
        "gray.png": saved(photo.convert("L"), "png"),
        "gray-veil.png": saved(photo.convert("LA"), "png"),
        "line.png": saved(photo.convert("1"), "png"),
        "palette.gif": saved(colours, "gif"),
        "palette.png": saved(colours, "png"),
        "palette-veil.png": saved(colours, "png", transparency=3),
        "pixel.jpg": saved(photo.resize((1, 1)), "jpg"),
        "progressive.jpg": saved(photo, "jpg", progressive=True),
        "rgb.bmp": saved(photo, "bmp"),
        "rgb.png": saved(photo, "png"),
        "veil.png": saved(veil, "png"),
    }
    for name, data in files.items():
        (root / "any" / name).write_bytes(data)
    return scan(root, validation=0, test=0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("keras_pil", {}),
        ("keras_directory", {}),
        ("tf_data", {}),
        ("tf_data", {"decode": "scaled"}),
    ],
    ids=str,
)
def test_every_common_format_gives_pillows_pixels(formats, name, settings):
    spec = BatchSpec(batch_size=4, image_size=SIDE, shuffle=False, value_range=(0, 255))
    with open_loader(name, formats, spec, settings, epochs=1) as stream:
        by_row = {
            row: np.asarray(image, np.float32)
            for images, _, rows in stream
            for row, image in zip(rows, images, strict=True)
        }
    assert len(by_row) == len(formats)
    for row, image in by_row.items():
        path = formats.path(row)
        photo = opened(path).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        difference = np.abs(image - np.asarray(photo, np.float32))
        if path.endswith(".jpg") and name != "keras_pil":
            # decode_image has no accurate DCT; "scaled" shrinks while decoding.
            assert difference.mean() < (20 if settings else 3), path
        else:
            assert difference.max() < 1e-3, path


def test_decode_jpeg_gives_exactly_pillows_pixels(class_folder):
    manifest = scan(class_folder, validation=0, test=0)
    spec = BatchSpec(batch_size=15, image_size=SIDE, shuffle=False)
    with open_loader("tf_data", manifest, spec, {"decode": "jpeg"}, epochs=1) as stream:
        pixels = np.concatenate([images for images, _, _ in stream])
    for row, image in enumerate(pixels):
        photo = opened(manifest.path(row)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        assert np.array_equal(image, photo)


@pytest.mark.parametrize("size", [(300, 2), (1, 1)])
def test_a_long_or_tiny_image_is_padded_alike_by_all_loaders(tmp_path, size):
    path = tmp_path / "any" / "red.png"
    path.parent.mkdir()
    path.write_bytes(saved(Image.new("RGB", size, "red"), "png"))
    spec = BatchSpec(batch_size=1, image_size=SIDE, resize="pad", value_range=(0, 255))
    images = []
    for name in ("keras_pil", "tf_data", "turbo"):
        with open_loader(name, scan(tmp_path), spec, epochs=1) as stream:
            images.append(np.asarray(next(stream).images))
    assert images[0].any()
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[0], images[2])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_too_large_for_pillow_is_named(tmp_path):
    path = tmp_path / "any" / "vast.bmp"
    path.parent.mkdir()
    data = bytearray(saved(Image.new("RGB", (4, 4)), "bmp"))
    data[18:26] = np.array([20_000, 20_000], "<i4").tobytes()  # width and height in the header
    path.write_bytes(data)
    spec = BatchSpec(batch_size=1, image_size=SIDE)
    with (
        open_loader("keras_pil", scan(tmp_path), spec, epochs=1) as stream,
        pytest.raises(ImageError, match=path.name),
    ):
        next(stream)


def test_pixels_that_are_rgb_already_are_not_copied(tmp_path, splits_folder, monkeypatch):
    """A copy of a large photo takes as long as its decoding, and `load_img` makes none."""
    from feedbench.loaders.images.pillow import picture

    path = splits_folder / "train" / "ant" / "00.jpg"
    (tmp_path / "rgb.png").write_bytes(saved(opened(path), "png"))
    spec = BatchSpec(batch_size=1, image_size=SIDE)
    expected = [np.asarray(opened(file)) for file in (path, tmp_path / "rgb.png")]
    monkeypatch.setattr(Image.Image, "convert", None)
    for file, pixels in zip((path, tmp_path / "rgb.png"), expected, strict=True):
        assert np.array_equal(np.asarray(picture(str(file), spec)), pixels)
