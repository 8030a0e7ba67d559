"""Memory that each thread decodes into: no header and no single image can bloat it."""

import io
from concurrent.futures import Future

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from feedbench.loaders import BatchSpec, ImageError, LoaderError, open_loader, scan
from feedbench.loaders.images.libjpeg_turbo import LiveImages, Scratch, decoded_jpeg
from feedbench.loaders.remote.read import Fetching

SPEC = BatchSpec(batch_size=1, image_size=16)


def claiming(width, height):
    """A small JPEG whose header states another size."""
    data = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(data, "JPEG")
    changed = bytearray(data.getvalue())
    begin = changed.index(b"\xff\xc0") + 5
    changed[begin : begin + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(changed)


def test_a_header_that_states_a_vast_size_takes_no_memory():
    def scratch(size):
        raise AssertionError(f"{size} bytes for a file that no decoder may read")

    assert decoded_jpeg(claiming(20_000, 20_000), SPEC, scratch, scaled=False) is None


def test_a_jpeg_that_states_a_vast_size_is_named_where_no_scan_has_seen_it(tmp_path):
    (tmp_path / "any").mkdir()
    (tmp_path / "any" / "vast.jpg").write_bytes(claiming(20_000, 20_000))
    with (
        open_loader("turbo", scan(tmp_path), SPEC, epochs=1) as stream,
        pytest.raises(ImageError, match=r"vast\.jpg: row 0: Pillow cannot read it: Image size"),
    ):
        next(stream)


def test_memory_of_a_vast_image_is_not_kept():
    scratch = Scratch()
    kept = scratch(1_000_000)
    assert scratch(500_000) is kept
    assert scratch(200_000_000).size >= 200_000_000
    assert scratch(500_000) is kept
    assert isinstance(kept, np.ndarray)


def test_a_subsampling_that_simplejpeg_does_not_know_is_left_to_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = bytearray(simplejpeg.encode_jpeg(pixels, colorsubsampling="411"))
    data[data.index(b"\xff\xc0") + 11] = 0x14  # four luma rows for one of chroma: 4:4:1
    assert Image.open(io.BytesIO(data)).layer[0][1:3] == (1, 4)
    with pytest.raises(KeyError):
        simplejpeg.decode_jpeg_header(data)
    assert decoded_jpeg(data, SPEC, Scratch(), scaled=True) is None


def test_an_object_whose_reading_was_stopped_is_not_called_unreadable(class_folder):
    item, image = Fetching(b"s3://photos/ant/00.jpg"), np.empty((16, 16, 3), np.uint8)
    item.future = Future()
    item.future.cancel()  # as closing does
    with pytest.raises(LoaderError, match="this stream is closed") as caught:
        LiveImages(scan(class_folder), SPEC).load(0, item, image)
    assert not isinstance(caught.value, ImageError)  # which a pack would note for good
