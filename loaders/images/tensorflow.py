"""Decoding inside a TensorFlow graph, to the same pixels as elsewhere."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feedbench.loaders.files import read_file
from feedbench.loaders.images.decode_path import (
    DECODE_PATHS,
    PILLOW,
    PLAIN,
    DecodePaths,
    orientations_to_undo,
    tensorflow_decode_paths,
)
from feedbench.loaders.images.geometry import shrink_limit
from feedbench.loaders.images.pillow import UPRIGHT, flattened, picture, reason, tensorflow_message
from feedbench.loaders.images.tensorflow_region import cut, jpeg_region
from feedbench.loaders.images.tensorflow_resize import resizer
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.spec import BatchSpec

Decode = Literal["image", "jpeg", "scaled"]
RATIOS = (1, 2, 4, 8)  # shrinking inside libjpeg's inverse DCT; other eighths have no fast path


def decoder(decode: Decode, spec: BatchSpec, *, only_jpeg: bool = False) -> Callable[[Any], Any]:
    """A function from the bytes of a plain file to uint8 `[height, width, 3]`.

    Args:
        only_jpeg: whether all files are known to be JPEGs, so that none needs to be checked.
    """
    import tensorflow as tf

    def image(data: Any) -> Any:
        return tf.io.decode_image(data, channels=3, expand_animations=False)

    def jpeg(data: Any) -> Any:
        # INTEGER_ACCURATE gives Pillow's pixels; the default trades accuracy for speed.
        return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")

    def fast(data: Any, ratio: int) -> Any:
        return tf.io.decode_jpeg(
            data, channels=3, ratio=ratio, fancy_upscaling=False, dct_method="INTEGER_FAST"
        )

    def scaled(data: Any) -> Any:
        shape = tf.cast(tf.io.extract_jpeg_shape(data), tf.float32)
        limit = shrink_limit(shape[0], shape[1], spec, smaller=tf.minimum, larger=tf.maximum)
        index = tf.reduce_sum(tf.cast(limit >= tf.constant(RATIOS[1:], tf.float32), tf.int32))
        return tf.switch_case(index, [lambda ratio=ratio: fast(data, ratio) for ratio in RATIOS])

    if decode == "image":
        return image
    decode_jpeg = {"jpeg": jpeg, "scaled": scaled}[decode]
    if only_jpeg:
        return decode_jpeg
    return lambda data: tf.cond(tf.io.is_jpeg(data), lambda: decode_jpeg(data), lambda: image(data))


def region_decoder(
    decode: Decode, spec: BatchSpec, *, only_jpeg: bool = False
) -> Callable[[Any, Any], Any]:
    """A function from the bytes of a plain file and a crop to the pixels of its region.

    Outside of the region a JPEG is decoded as little as libjpeg allows; other formats whole.

    Args:
        only_jpeg: as in `decoder`.
    """
    import tensorflow as tf

    options: dict[Decode, dict[str, Any]] = {
        "image": {},
        "jpeg": {"dct_method": "INTEGER_ACCURATE"},
        "scaled": {"dct_method": "INTEGER_FAST", "fancy_upscaling": False},
    }

    def limit(shape: Any) -> Any:
        return shrink_limit(shape[0], shape[1], spec, smaller=tf.minimum, larger=tf.maximum)

    def other(data: Any, crop: Any) -> Any:
        return cut(tf.io.decode_image(data, channels=3, expand_animations=False), crop)

    jpeg = jpeg_region(RATIOS if decode == "scaled" else (1,), limit, options[decode])
    if only_jpeg:
        return jpeg
    return lambda data, crop: tf.cond(
        tf.io.is_jpeg(data), lambda: jpeg(data, crop), lambda: other(data, crop)
    )


class Decoding:
    """Decodes each row as the manifest's audit says.

    Attributes:
        decode_paths: int8 `[rows]`, decode path and orientation in one number; None if all rows
            are plain and upright, so that the number does not even enter the graph.
    """

    def __init__(
        self,
        manifest: Manifest,
        spec: BatchSpec,
        decode: Decode = "image",
        *,
        python: bool = True,
    ) -> None:
        """Prepare to decode.

        Args:
            python: whether the graph may call Python; if not, images for Pillow come out blank.
        """
        paths = tensorflow_decode_paths(manifest, spec)
        orientations = orientations_to_undo(manifest, spec, paths)
        self._spec = spec
        only_jpeg = _all_jpeg(manifest)
        self._plain = decoder(decode, spec, only_jpeg=only_jpeg)
        self._plain_region = region_decoder(decode, spec.as_resized(), only_jpeg=only_jpeg)
        self._resize = resizer(spec)
        self._python = python
        self._rotates = bool((orientations != UPRIGHT).any())
        self.decode_paths: DecodePaths | None = None
        if self._rotates or (paths != PLAIN).any():
            self.decode_paths = paths + DECODE_PATHS * (orientations - UPRIGHT)

    def __call__(self, data: Any, decode_path: Any) -> Any:
        """Bytes of a file to uint8 `[height, width, 3]`, by the row's entry of `decode_paths`."""
        import tensorflow as tf

        if self.decode_paths is None:
            return self._plain(data)
        decode_path = tf.cast(decode_path, tf.int32)
        by_pillow = self._by_pillow if self._python else _blank
        branches = [self._plain, self._over_background, _grey, by_pillow]
        image = tf.switch_case(
            decode_path % DECODE_PATHS,
            [lambda branch=branch: branch(data) for branch in branches],
        )
        return upright(image, decode_path // DECODE_PATHS) if self._rotates else image

    def region(self, data: Any, decode_path: Any, crop: Any) -> Any:
        """Bytes of a file to the pixels of a random-resized crop, at their own size."""
        import tensorflow as tf

        if self.decode_paths is None:
            return self._plain_region(data, crop)
        return tf.cond(
            tf.equal(decode_path, PLAIN),  # and upright
            lambda: self._plain_region(data, crop),
            lambda: cut(self(data, decode_path), crop),
        )

    def fault(self, data: bytes, row: int) -> tuple[str, str] | None:
        """The decoder that fails on a row's bytes, and its message; None if they can be read."""
        import tensorflow as tf

        decode_path = 0 if self.decode_paths is None else self.decode_paths[row]
        try:
            if decode_path % DECODE_PATHS == PILLOW:
                picture(io.BytesIO(data), self._spec)
            else:
                self._resize(self(data, decode_path))
        except tf.errors.OpError as error:
            return "TensorFlow", tensorflow_message(error)
        except Exception as error:  # each of Pillow's formats fails in its own ways
            return "Pillow", reason(error)
        return None

    def _over_background(self, data: Any) -> Any:
        """Pixels with alpha over the background, rounded as Pillow rounds."""
        import tensorflow as tf

        image = tf.io.decode_image(data, channels=4, expand_animations=False)
        alpha = tf.cast(image[..., 3:], tf.int32)
        over = tf.constant(self._spec.background, tf.int32) * (255 - alpha)
        mixed = (tf.cast(image[..., :3], tf.int32) * alpha + over + 127) // 255
        return tf.cast(mixed, tf.uint8)

    def _by_pillow(self, data: Any) -> Any:
        import tensorflow as tf

        def decoded(data: bytes) -> Any:
            return np.asarray(picture(io.BytesIO(data), self._spec))

        return tf.ensure_shape(tf.numpy_function(decoded, [data], tf.uint8), (None, None, 3))


def jxl_picture(path: str, spec: BatchSpec) -> Any:
    """A JPEG XL as a Pillow image in RGB over the background; Pillow itself cannot read it.

    Raises:
        Exception: whatever TensorFlow raises for a file that it cannot read.
    """
    import tensorflow as tf
    from PIL import Image

    data = read_file(path)
    pixels = tf.io.decode_image(data, channels=0, expand_animations=False).numpy()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return flattened(image, spec.background)


def _blank(data: Any) -> Any:
    import tensorflow as tf

    return tf.zeros((1, 1, 3), tf.uint8)


def _grey(data: Any) -> Any:
    import tensorflow as tf

    image = tf.io.decode_image(data, channels=1, expand_animations=False)
    return tf.image.grayscale_to_rgb(image)


def _all_jpeg(manifest: Manifest) -> bool:
    return manifest.audited and bool(
        pc.all(pc.is_in(manifest.table["format"], pa.array(["JPEG", "MPO"]))).as_py()
    )


def upright(image: Any, index: Any) -> Any:
    """Undo EXIF orientation `index` + 1."""
    import tensorflow as tf

    def transposed(image: Any) -> Any:
        return tf.transpose(image, (1, 0, 2))

    branches = [
        lambda: image,
        lambda: tf.reverse(image, [1]),
        lambda: tf.reverse(image, [0, 1]),
        lambda: tf.reverse(image, [0]),
        lambda: transposed(image),
        lambda: tf.reverse(transposed(image), [1]),
        lambda: tf.reverse(transposed(image), [0, 1]),
        lambda: tf.reverse(transposed(image), [0]),
    ]
    return tf.switch_case(index, branches)
