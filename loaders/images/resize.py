"""NumPy images resized to the batch's size, by OpenCV where it agrees with Pillow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.images.geometry import centre_square, centred, padded_size
from feedbench.loaders.images.pillow import fitted
from feedbench.loaders.spec import BatchSpec

Pixels = NDArray[np.uint8]


def disable_opencv_threads() -> None:
    """Disable OpenCV's own threads: the caller already runs one thread per core."""
    import cv2

    cv2.setNumThreads(1)


def fit_into(image: Pixels, spec: BatchSpec, into: Pixels) -> None:
    """Resize an image, uint8 `[height, width, 3]`, into `[image_size, image_size, 3]`.

    The same image as `pillow.fitted`: exactly with `nearest`, within one level with `bilinear`;
    antialiasing is left to Pillow itself.
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
    """An image shrunk until no side is longer than `side`; each pixel is the mean of its area."""
    import cv2

    ratio = max(image.shape[:2]) / side
    if ratio <= 1:
        return image
    height, width = (max(1, round(length / ratio)) for length in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _scaled(image: Pixels, spec: BatchSpec, into: Pixels) -> None:
    import cv2

    # INTER_NEAREST samples at the corner of each new pixel, Pillow and TensorFlow at its centre.
    method = cv2.INTER_NEAREST_EXACT if spec.interpolation == "nearest" else cv2.INTER_LINEAR
    cv2.resize(image, (into.shape[1], into.shape[0]), dst=into, interpolation=method)


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
