"""NumPy pictures of any size brought to the batch's, by OpenCV where it agrees with Pillow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.images.geometry import centre_square, centred, padded_size
from feedbench.loaders.images.pillow import fitted

Pixels = NDArray[np.uint8]


def one_thread_each() -> None:
    """Keep OpenCV from threads of its own: its callers are as many as there are cores already."""
    import cv2

    cv2.setNumThreads(1)


def fit_into(image: Pixels, spec: BatchSpec, into: Pixels) -> None:
    """Write a picture, uint8 `[height, width, 3]`, into `[image_size, image_size, 3]`.

    The same picture as `pillow.fitted`: with `nearest` to the bit, with `bilinear` within a
    level; what antialiases is Pillow itself.
    """
    if spec.antialias:
        _by_pillow(image, spec, into)
    elif spec.resize == "pad":
        _padded(image, spec, into)
    elif spec.resize == "crop":
        _scaled(_centre_square(image), spec, into)
    else:
        _scaled(image, spec, into)


def shrunk(image: Pixels, side: int) -> Pixels:
    """A picture made smaller until no side is longer; each new pixel the mean of its old ones."""
    import cv2

    ratio = max(image.shape[:2]) / side
    if ratio <= 1:
        return image
    height, width = (max(1, round(length / ratio)) for length in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _scaled(image: Pixels, spec: BatchSpec, into: Pixels) -> None:
    import cv2

    # INTER_NEAREST takes the pixel at each new one's corner, Pillow and TensorFlow at its centre.
    way = cv2.INTER_NEAREST_EXACT if spec.interpolation == "nearest" else cv2.INTER_LINEAR
    cv2.resize(image, (into.shape[1], into.shape[0]), dst=into, interpolation=way)


def _centre_square(image: Pixels) -> Pixels:
    top, left, side = centre_square(image.shape[0], image.shape[1])
    return image[top : top + side, left : left + side]


def _padded(image: Pixels, spec: BatchSpec, into: Pixels) -> None:
    side = spec.image_size
    height, width = padded_size(image.shape[0], image.shape[1], side)
    top, left = centred(height, side), centred(width, side)
    into[...] = 0
    _scaled(image, spec, into[top : top + height, left : left + width])


def _by_pillow(image: Pixels, spec: BatchSpec, into: Pixels) -> None:
    from PIL import Image

    into[...] = np.asarray(fitted(Image.fromarray(image), spec))
