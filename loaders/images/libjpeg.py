"""Single files read and decoded at once: JPEGs by libjpeg-turbo, all else by the audited way."""

from __future__ import annotations

import io
import os
import threading
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.errors import ImageError
from feedbench.loaders.images import jxl
from feedbench.loaders.images.decode_path import PILLOW, PLAIN, pillow_ways
from feedbench.loaders.images.geometry import shrink_limit
from feedbench.loaders.images.pillow import picture, reason, tensorflow_words
from feedbench.loaders.images.resize import Pixels, fit_into
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows

Decode = Literal["full", "scaled"]
RATIOS = (8, 4, 2)  # shrinking inside libjpeg's inverse DCT; other eighths have no fast path
_JPEG = b"\xff\xd8\xff"
_INKS = ("CMYK", "YCCK")  # colours that Pillow has a way of its own to turn into RGB


class LiveImages:
    """The rows of a manifest as pictures, decoded whenever one is asked for."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, decode: Decode = "full") -> None:
        self._manifest = manifest
        self._spec = spec
        self._scaled = decode == "scaled"
        self._ways = pillow_ways(manifest, spec)
        self._only_tensorflow = _only_tensorflow(manifest)
        self._scratch = Scratch()

    def find(self, rows: Rows) -> list[bytes]:
        """The absolute paths of some rows."""
        return self._manifest.paths(rows)

    def load(self, row: int, item: bytes, into: Pixels) -> None:
        """Write the picture of a row's file, resized, uint8 `[image_size, image_size, 3]`.

        Raises:
            ImageError: the file cannot be read.
        """
        fit_into(self.whole(row, item), self._spec, into)

    def whole(self, row: int, item: bytes) -> Pixels:
        """The picture of a row's file at its own size, as `decoded` gives it."""
        try:
            data = read_file(item)
        except OSError as error:
            words = error.strerror or str(error)
            raise ImageError(os.fsdecode(item), row, "the system", words) from error
        return self.decoded(row, item, data)

    def decoded(self, row: int, path: bytes, data: bytes) -> Pixels:
        """Pixels uint8 `[height, width, 3]`; this thread's next call may write over them.

        Raises:
            ImageError: the bytes cannot be decoded.
        """
        name = os.fsdecode(path)
        if jxl.is_jxl(data) or self._only_tensorflow[row]:
            return _by_tensorflow(name, row, self._spec)
        if self._ways[row] == PLAIN and data.startswith(_JPEG):
            pixels = self._jpeg(data)
            if pixels is not None:
                return pixels
        try:
            return self._by_pillow(data, self._ways[row])
        except MemoryError:
            raise
        except Exception as error:  # each of Pillow's formats fails in ways of its own
            raise ImageError(name, row, "Pillow", reason(error)) from error

    def _jpeg(self, data: bytes) -> Pixels | None:
        """None where Pillow shall have the last word: inks, and whatever is not quite right."""
        return decoded_jpeg(data, self._spec, self._scratch, scaled=self._scaled)

    def _by_pillow(self, data: bytes, way: int) -> Pixels:
        from PIL import Image

        if way == PILLOW:
            return np.asarray(picture(io.BytesIO(data), self._spec))
        with Image.open(io.BytesIO(data)) as image:  # as load_img does it
            return np.asarray(image.convert("RGB"))


class Scratch(threading.local):
    """Memory of each thread alone: new memory for each image would have to be mapped first."""

    def __init__(self) -> None:
        self._kept = np.empty(0, np.uint8)

    def __call__(self, size: int) -> Pixels:
        """uint8 of at least that size; the thread's next call may give the same."""
        if self._kept.size < size:
            self._kept = np.empty(size, np.uint8)
        return self._kept


def decoded_jpeg(data: Any, spec: BatchSpec, scratch: Scratch, *, scaled: bool) -> Pixels | None:
    """A JPEG's pixels uint8 `[height, width, 3]` in scratch memory; None if libjpeg objects.

    Args:
        data: bytes, or any contiguous buffer of them.
        scaled: shrink while decoding as far as the spec allows, by the fast inverse DCT.
    """
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours in _INKS:
            return None
        ratio = scaled_ratio(height, width, spec) if scaled else 1
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            fastdct=scaled,
            fastupsample=scaled,
            min_height=-(-height // ratio),
            min_width=-(-width // ratio),
            min_factor=ratio,
            buffer=scratch(height * width * 3),
        )
    except ValueError:
        return None
    return pixels


def read_file(path: bytes) -> bytes:
    """All bytes of a file, in a third of the time that `Path.read_bytes` takes.

    Raises:
        OSError: it cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        data = os.read(file, size)
        while len(data) < size and (more := os.read(file, size - len(data))):
            data += more
        return data
    finally:
        os.close(file)


def scaled_ratio(height: int, width: int, spec: BatchSpec) -> int:
    """How far libjpeg may shrink an image that keeps as many pixels as the batch needs."""
    limit = shrink_limit(height, width, spec)
    return next((ratio for ratio in RATIOS if limit >= ratio), 1)


def _only_tensorflow(manifest: Manifest) -> NDArray[np.bool_]:
    """The rows that an audit found readable by TensorFlow alone."""
    if not manifest.audited:
        return np.zeros(len(manifest), np.bool_)
    table: Any = manifest.table
    known = pc.and_(pc.is_valid(table["pillow"]), pc.is_null(table["tensorflow"]))
    return np.asarray(known.combine_chunks().to_numpy(zero_copy_only=False), np.bool_)


def _by_tensorflow(name: str, row: int, spec: BatchSpec) -> Pixels:
    from feedbench.loaders.images.tensorflow import jxl_picture

    try:
        return np.asarray(jxl_picture(name, spec))
    except Exception as error:  # a TensorFlow error, or Python's for what it cannot even take
        raise ImageError(name, row, "TensorFlow", tensorflow_words(error)) from error
