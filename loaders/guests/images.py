"""Files decoded by what people use with a library: Pillow, OpenCV or simplejpeg."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from feedbench.loaders.augment.regions import Crops, Region, region_in
from feedbench.loaders.errors import ImageError
from feedbench.loaders.files import read_row
from feedbench.loaders.images.decode_path import PILLOW, PLAIN, pillow_decode_paths
from feedbench.loaders.images.libjpeg_turbo import (
    SIMPLEJPEG_ERRORS,
    Decode,
    Scratch,
    scaled_ratio,
)
from feedbench.loaders.images.pillow import PILLOW_PIXELS, picture, reason
from feedbench.loaders.images.resize import Pixels, disable_opencv_threads, fit_into
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.spec import BatchSpec

Decoder = Annotated[
    Literal["pillow", "opencv", "simplejpeg"],
    Field(
        description="What decodes JPEGs: pillow, as in torchvision; opencv; or simplejpeg, which "
        "is libjpeg-turbo alone. Other files are decoded by Pillow, and OpenCV resizes."
    ),
]
Scaling = Annotated[
    Decode,
    Field(
        description="full: every pixel of the file; scaled: the decoder shrinks JPEGs by 1/2, 1/4 "
        "or 1/8 where enough pixels remain: faster, other pixels."
    ),
]
_JPEG, _END_OF_JPEG = b"\xff\xd8\xff", b"\xff\xd9"
_COLOURS = ("RGB", "YCbCr", "Gray")  # of the JPEGs that OpenCV decodes as Pillow does
# By how much an image of some height and width is shrunk as it is decoded, and what is then cut
# out of it; None for all of it.
Plan = Callable[[int, int], tuple[int, Region | None]]
_DecodeJpeg = Callable[[bytes, Plan], Pixels | None]  # None: left to Pillow


class Images:
    """The images of a manifest's rows: what `fill` reads from."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, decoder: str, decode: Decode) -> None:
        disable_opencv_threads()
        self._spec = spec.as_resized()
        self._scaled = decode == "scaled"
        self._decode_paths = pillow_decode_paths(manifest, spec, by_others=True)
        self._decode_jpeg = _jpeg_decoder(decoder, scaled=self._scaled)
        self._manifest = manifest

    def find(self, rows: Rows) -> list[bytes]:
        """Return the addresses of some rows."""
        return self._manifest.paths(rows)

    def load(self, row: int, item: bytes, into: Pixels) -> None:
        """Read the file at an address, and write its image, uint8 `[image_size, image_size, 3]`.

        Raises:
            ImageError: the file cannot be read.
        """
        self.fit(row, item, read_row(row, item), into)

    def load_region(self, row: int, item: bytes, into: Pixels, crop: Crops) -> None:
        """Do the same for a random-resized crop of the image, which is stretched to that size.

        Raises:
            ImageError: the file cannot be read.
        """
        self.fit(row, item, read_row(row, item), into, crop)

    def fit(
        self, row: int, path: bytes, data: bytes, into: Pixels, crop: Crops | None = None
    ) -> None:
        """Write the image of a file's bytes, or a crop of it, `[image_size, image_size, 3]`.

        Raises:
            ImageError: they cannot be decoded.
        """
        fit_into(self.decoded(row, path, data, crop), self._spec, into)

    def decoded(self, row: int, path: bytes, data: bytes, crop: Crops | None = None) -> Pixels:
        """Pixels uint8 `[height, width, 3]`; this thread's next call may overwrite them.

        Args:
            crop: the region to cut out; None for the whole image.

        Raises:
            ImageError: the bytes cannot be decoded.
        """
        try:
            if self._decode_paths[row] == PLAIN and data.startswith(_JPEG):
                plan = partial(_plan, self._spec, crop, self._scaled)
                pixels = self._decode_jpeg(data, plan)
                if pixels is not None:
                    return pixels
            pixels = self._by_pillow(data, self._decode_paths[row])
            height, width, _ = pixels.shape
            return pixels if crop is None else region_in(height, width, crop).of(pixels)
        except MemoryError:
            raise
        except Exception as error:  # each of Pillow's formats fails in its own ways
            raise ImageError(os.fsdecode(path), row, "Pillow", reason(error)) from error

    def _by_pillow(self, data: bytes, decode_path: int) -> Pixels:
        from PIL import Image

        if decode_path == PILLOW:
            return np.asarray(picture(io.BytesIO(data), self._spec))
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))


def _plan(
    spec: BatchSpec, crop: Crops | None, scaled: bool, height: int, width: int
) -> tuple[int, Region | None]:
    """What `Plan` says, for a crop; None for whole images."""
    region = Region(0, 0, height, width) if crop is None else region_in(height, width, crop)
    ratio = scaled_ratio(region.height, region.width, spec) if scaled else 1
    if crop is None:
        return ratio, None
    return ratio, region.shrunk(ratio, -(-height // ratio), -(-width // ratio))


def _jpeg_decoder(decoder: str, *, scaled: bool) -> _DecodeJpeg:
    if decoder == "simplejpeg":
        return partial(_by_simplejpeg, Scratch(), scaled)
    if decoder == "opencv":
        return _by_opencv
    return _draft if scaled else lambda data, plan: None


def _by_simplejpeg(scratch: Scratch, fast: bool, data: bytes, plan: Plan) -> Pixels | None:
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in _COLOURS or height * width > PILLOW_PIXELS:
            return None
        ratio, region = plan(height, width)
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            fastdct=fast,
            fastupsample=fast,
            min_height=-(-height // ratio),
            min_width=-(-width // ratio),
            min_factor=ratio,
            buffer=scratch(height * width * 3),
        )
    except SIMPLEJPEG_ERRORS:
        return None
    return pixels if region is None else region.of(pixels)


def _by_opencv(data: bytes, plan: Plan) -> Pixels | None:
    import cv2
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except SIMPLEJPEG_ERRORS:
        return None
    # Where a file ends too early, OpenCV gives grey pixels and no error.
    if colours not in _COLOURS or not data.endswith(_END_OF_JPEG):
        return None
    shrunk = {  # each with IMREAD_COLOR_RGB: the flags of reduced colour stand for BGR
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    }
    ratio, region = plan(height, width)
    flags = shrunk.get(ratio, 0) | cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if decoded is None:
        return None
    pixels = np.asarray(decoded, np.uint8)
    return pixels if region is None else region.of(pixels)


def _draft(data: bytes, plan: Plan) -> Pixels:
    """By Pillow, which shrinks in libjpeg to no less than a draft asks for."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        ratio, region = plan(image.height, image.width)
        # Pillow divides by what it is asked for and rounds down: sides rounded up would give less.
        image.draft("RGB", (max(image.width // ratio, 1), max(image.height // ratio, 1)))
        pixels = np.asarray(image.convert("RGB"))
    return pixels if region is None else region.of(pixels)
