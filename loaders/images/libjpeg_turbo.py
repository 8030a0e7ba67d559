"""Files read and decoded one by one: JPEGs by libjpeg-turbo, all others by their decode path."""

from __future__ import annotations

import io
import os
import threading
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.augment.regions import Crops, region_in
from feedbench.loaders.capabilities import AuditColumn
from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.errors import ImageError
from feedbench.loaders.files import read_row
from feedbench.loaders.images import jxl
from feedbench.loaders.images.decode_path import PILLOW, PLAIN, pillow_decode_paths
from feedbench.loaders.images.fitted_jpeg import decoder, fit_jpeg, fitting
from feedbench.loaders.images.geometry import shrink_limit
from feedbench.loaders.images.jpeg_region import decoded_alone
from feedbench.loaders.images.pillow import PILLOW_PIXELS, picture, reason, tensorflow_message
from feedbench.loaders.images.resize import Pixels, fit_into
from feedbench.loaders.images.tensorflow import Decoding, jxl_picture
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.pool.compiled import Work, source_of_files
from feedbench.loaders.remote.ahead import ReadAhead

Decode = Literal["full", "scaled"]
READABLE_BY: tuple[AuditColumn, ...] = ("pillow", "tensorflow")  # one of them reads the rest
RATIOS = (8, 4, 2)  # shrinking inside libjpeg's inverse DCT; other eighths have no fast path
_MAX_KEPT_BYTES = 64 << 20  # per thread: the pixels of a photograph of 22 megapixels
SIMPLEJPEG_ERRORS = (ValueError, KeyError)  # the latter for 4:4:1, a subsampling without a name
_JPEG = b"\xff\xd8\xff"
_CMYK_MODES = ("CMYK", "YCCK")  # Pillow converts these to RGB in its own way


class LiveImages:
    """The images of a manifest's rows, decoded from their files on request."""

    def __init__(
        self,
        manifest: Manifest,
        spec: BatchSpec,
        decode: Decode = "full",
        reads: ReadAhead | None = None,
    ) -> None:
        self._manifest = manifest
        self._reads = reads
        self._spec = spec.as_resized()
        self._scaled = decode == "scaled"
        self._decode_paths = pillow_decode_paths(manifest, spec, by_others=True)
        self._only_tensorflow = _only_tensorflow(manifest)
        some = self._only_tensorflow.any()
        self._decoding = Decoding(manifest, spec) if some else None
        self._plain = (self._decode_paths == PLAIN) & ~self._only_tensorflow
        self._all_plain = bool(self._plain.all())
        self._fitting = fitting(self._spec, scaled=self._scaled)
        self._scratch = Scratch()

    def find(self, rows: Rows) -> Addresses:
        """The absolute paths of some rows; if they are objects, reading them begins."""
        paths = self._manifest.paths(rows)
        found = Addresses(paths if self._reads is None else self._reads.start(paths))
        if not self._all_plain:
            plain = zip(found, self._plain[rows].tolist(), strict=True)
            found.for_libjpeg = [path if is_plain else b"" for path, is_plain in plain]
        return found

    def stop(self) -> None:
        """Have reading ahead end."""
        if self._reads is not None:
            self._reads.close()

    def load(self, row: int, item: bytes, into: Pixels) -> None:
        """Write the image of a row's file, resized, uint8 `[image_size, image_size, 3]`.

        Raises:
            ImageError: the file cannot be read.
        """
        self._load(row, item, into, None)

    def load_region(self, row: int, item: bytes, into: Pixels, crop: Crops) -> None:
        """Write a random-resized crop of a row's file, stretched to the same size.

        Raises:
            ImageError: the file cannot be read.
        """
        self._load(row, item, into, crop)

    def work(self, items: Addresses) -> Work | None:
        """How the compiled module makes the images of a batch; None if it cannot."""
        if self._files is None:
            return None
        return Work(self._files, items.for_libjpeg or items)

    @cached_property
    def _files(self) -> Any | None:
        return source_of_files(decoder(self._fitting))

    def _load(self, row: int, item: bytes, into: Pixels, crop: Crops | None) -> None:
        data = read_row(row, item)
        how = self._fitting if self._plain[row] and data.startswith(_JPEG) else None
        if how is None or not fit_jpeg(data, how, into, crop):
            fit_into(self.decoded(row, item, data, crop), self._spec, into)

    def whole(self, row: int, item: bytes) -> Pixels:
        """The image of a row's file at its own size, as `decoded` returns it."""
        return self.decoded(row, item, read_row(row, item))

    def decoded(self, row: int, path: bytes, data: bytes, crop: Crops | None = None) -> Pixels:
        """Pixels uint8 `[height, width, 3]`; this thread's next call may overwrite them.

        Args:
            crop: the region to cut out; None for the whole image.

        Raises:
            ImageError: the bytes cannot be decoded.
        """
        name = os.fsdecode(path)
        if jxl.is_jxl(data) or self._only_tensorflow[row]:
            try:
                return _cut(self._by_tensorflow(name, row, data), crop)
            except Exception as error:  # a TensorFlow error, or a Python error
                raise ImageError(name, row, "TensorFlow", tensorflow_message(error)) from error
        if self._decode_paths[row] == PLAIN and data.startswith(_JPEG):
            pixels = self._jpeg(data, crop)
            if pixels is not None:
                return pixels
        try:
            return _cut(self._by_pillow(data, self._decode_paths[row]), crop)
        except MemoryError:
            raise
        except Exception as error:  # each of Pillow's formats fails in its own ways
            raise ImageError(name, row, "Pillow", reason(error)) from error

    def _jpeg(self, data: bytes, crop: Crops | None) -> Pixels | None:
        """None for CMYK and for files that libjpeg warns about: Pillow decodes those."""
        return decoded_jpeg(data, self._spec, self._scratch, scaled=self._scaled, crop=crop)

    def _by_tensorflow(self, name: str, row: int, data: bytes) -> Pixels:
        if self._decoding is None:
            return np.asarray(jxl_picture(name, self._spec))
        codes = self._decoding.decode_paths
        return np.asarray(self._decoding(data, PLAIN if codes is None else codes[row]))

    def _by_pillow(self, data: bytes, decode_path: int) -> Pixels:
        from PIL import Image

        if decode_path == PILLOW:
            return np.asarray(picture(io.BytesIO(data), self._spec))
        with Image.open(io.BytesIO(data)) as image:  # as load_img does it
            return np.asarray(image.convert("RGB"))


class Addresses(list[bytes]):
    """The addresses of some files.

    Attributes:
        for_libjpeg: the same for the compiled module, empty for files that it must not read; None
            if it may read all of them.
    """

    for_libjpeg: list[bytes] | None = None


class Scratch(threading.local):
    """Memory of one thread each, reused: new memory for each image would have to be mapped.

    Mapping takes a small part of the time that a vast image needs, so its memory is not kept.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def __call__(self, size: int) -> Pixels:
        """uint8 of at least this size; the thread's next call may return the same memory."""
        if size > _MAX_KEPT_BYTES:
            return np.empty(size, np.uint8)
        if self._memory.size < size:
            self._memory = np.empty(size, np.uint8)
        return self._memory


def decoded_jpeg(
    data: Any, spec: BatchSpec, scratch: Scratch, *, scaled: bool, crop: Crops | None = None
) -> Pixels | None:
    """A JPEG's pixels, uint8 `[height, width, 3]`, in scratch memory; None if libjpeg warns.

    None also for CMYK and for more pixels than Pillow allows, which then refuses the file. If only
    a region is decoded, libjpeg does not see damage below it.

    Args:
        data: bytes, or any contiguous buffer of bytes.
        scaled: use the fast inverse DCT and shrink in it as far as the spec allows.
        crop: the region to cut out; None for the whole image.
    """
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours in _CMYK_MODES or height * width > PILLOW_PIXELS:
            return None
        if crop is None:
            ratio = scaled_ratio(height, width, spec) if scaled else 1
            return _whole_jpeg(data, (height, width), ratio, scratch, fast=scaled)
        region = region_in(height, width, crop)
        ratio = scaled_ratio(region.height, region.width, spec) if scaled else 1
        region = region.shrunk(ratio, -(-height // ratio), -(-width // ratio))
        pixels = decoded_alone(data, region, ratio, scratch, fast=scaled)
        if pixels is None:
            pixels = region.of(_whole_jpeg(data, (height, width), ratio, scratch, fast=scaled))
    except SIMPLEJPEG_ERRORS:
        return None
    return pixels


def _whole_jpeg(
    data: Any, size: tuple[int, int], ratio: int, scratch: Scratch, *, fast: bool
) -> Pixels:
    """All pixels of a JPEG of this height and width, shrunk by a ratio.

    Raises:
        ValueError: libjpeg warns.
    """
    import simplejpeg

    height, width = size
    pixels: Pixels = simplejpeg.decode_jpeg(
        data,
        fastdct=fast,
        fastupsample=fast,
        min_height=-(-height // ratio),
        min_width=-(-width // ratio),
        min_factor=ratio,
        buffer=scratch(height * width * 3),
    )
    return pixels


def _cut(pixels: Pixels, crop: Crops | None) -> Pixels:
    if crop is None:
        return pixels
    return region_in(pixels.shape[0], pixels.shape[1], crop).of(pixels)


def scaled_ratio(height: int, width: int, spec: BatchSpec) -> int:
    """The factor by which libjpeg can shrink an image and keep the pixels that the batch needs."""
    limit = shrink_limit(height, width, spec)
    return next((ratio for ratio in RATIOS if limit >= ratio), 1)


def _only_tensorflow(manifest: Manifest) -> NDArray[np.bool_]:
    """Rows that only TensorFlow can read, according to the audit."""
    if not manifest.audited:
        return np.zeros(len(manifest), np.bool_)
    table: Any = manifest.table
    column = pc.and_(pc.is_valid(table["pillow"]), pc.is_null(table["tensorflow"]))
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False), np.bool_)
