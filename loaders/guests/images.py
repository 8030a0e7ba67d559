"""Files decoded by what people use with a library: Pillow, OpenCV or simplejpeg."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.errors import ImageError
from feedbench.loaders.files import read_file
from feedbench.loaders.images.decode_path import PILLOW, PLAIN, pillow_decode_paths
from feedbench.loaders.images.libjpeg_turbo import Decode, Scratch, decoded_jpeg, scaled_ratio
from feedbench.loaders.images.pillow import picture, reason
from feedbench.loaders.images.resize import Pixels, disable_opencv_threads, fit_into
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows

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
_DecodeJpeg = Callable[[bytes], Pixels | None]  # None: left to Pillow


class Images:
    """The images of a manifest's rows: what `fill` reads from."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, decoder: str, decode: Decode) -> None:
        disable_opencv_threads()
        self._spec = spec
        self._decode_paths = pillow_decode_paths(manifest, spec)
        self._decode_jpeg = _jpeg_decoder(decoder, spec, scaled=decode == "scaled")
        self._manifest = manifest

    def find(self, rows: Rows) -> list[bytes]:
        """Return the addresses of some rows."""
        return self._manifest.paths(rows)

    def load(self, row: int, item: bytes, into: Pixels) -> None:
        """Read the file at an address, and write its image, uint8 `[image_size, image_size, 3]`.

        Raises:
            ImageError: the file cannot be read.
        """
        try:
            data = read_file(item)
        except OSError as error:
            message = error.strerror or str(error)
            raise ImageError(os.fsdecode(item), row, "the system", message) from error
        self.fit(row, item, data, into)

    def fit(self, row: int, path: bytes, data: bytes, into: Pixels) -> None:
        """Write the image of a file's bytes, uint8 `[image_size, image_size, 3]`.

        Raises:
            ImageError: they cannot be decoded.
        """
        fit_into(self.decoded(row, path, data), self._spec, into)

    def decoded(self, row: int, path: bytes, data: bytes) -> Pixels:
        """Pixels uint8 `[height, width, 3]`; this thread's next call may overwrite them.

        Raises:
            ImageError: the bytes cannot be decoded.
        """
        try:
            if self._decode_paths[row] == PLAIN and data.startswith(_JPEG):
                pixels = self._decode_jpeg(data)
                if pixels is not None:
                    return pixels
            return self._by_pillow(data, self._decode_paths[row])
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


def _jpeg_decoder(decoder: str, spec: BatchSpec, *, scaled: bool) -> _DecodeJpeg:
    if decoder == "simplejpeg":
        scratch = Scratch()
        return lambda data: decoded_jpeg(data, spec, scratch, scaled=scaled)
    if decoder == "opencv":
        return lambda data: _by_opencv(data, spec, scaled=scaled)
    return (lambda data: _draft(data, spec)) if scaled else lambda data: None


def _by_opencv(data: bytes, spec: BatchSpec, *, scaled: bool) -> Pixels | None:
    import cv2
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    # Where a file ends too early, OpenCV gives grey pixels and no error.
    if colours not in _COLOURS or not data.endswith(_END_OF_JPEG):
        return None
    shrunk = {  # each with IMREAD_COLOR_RGB: the flags of reduced colour stand for BGR
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    }
    ratio = scaled_ratio(height, width, spec) if scaled else 1
    flags = shrunk.get(ratio, 0) | cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return None if pixels is None else np.asarray(pixels, np.uint8)


def _draft(data: bytes, spec: BatchSpec) -> Pixels:
    """By Pillow, which shrinks in libjpeg to no less than a draft asks for."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        ratio = scaled_ratio(image.height, image.width, spec)
        # Pillow divides by what it is asked for and rounds down: sides rounded up would give less.
        image.draft("RGB", (image.width // ratio, image.height // ratio))
        return np.asarray(image.convert("RGB"))
