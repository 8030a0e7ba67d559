"""Whether two decoders give the same image; they may not if a file is damaged but readable."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BACKGROUND = (255, 255, 255)  # of transparent images; any will do
_POINTS = 64  # along each side
_LEVELS = 32  # sound JPEGs differ by a few levels between libjpeg's transforms
_SHARE = 0.01  # of the points: a single one may lie on an edge


class Sample(NamedTuple):
    """Points of an image on a grid.

    Attributes:
        size: height and width of the image.
        points: grey or RGB, uint8 `[rows, columns, 1 or 3]`.
    """

    size: tuple[int, ...]
    points: NDArray[np.uint8]


def sample(pixels: NDArray[np.uint8]) -> Sample:
    """Points of an image `[height, width, 1, 3 or 4]`, RGB over the background."""
    size = pixels.shape[:2]
    rows, columns = map(_places, size)
    return Sample(size, _opaque(pixels[rows[:, None], columns]))


def _opaque(points: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if points.shape[2] < 4:
        return points
    alpha = points[..., 3:].astype(np.int32)
    over = np.array(BACKGROUND) * (255 - alpha)
    mixed = (points[..., :3] * alpha + over + 127) // 255
    return mixed.astype(np.uint8)


def agree(one: Sample, other: Sample) -> bool:
    """Whether two samples are of the same image."""
    if one.size != other.size or one.points.shape != other.points.shape:
        return False
    differences = np.abs(one.points.astype(np.int16) - other.points).max(-1)
    return bool((differences > _LEVELS).mean() <= _SHARE)


def _places(length: int) -> NDArray[np.int64]:
    """Places along a side, its ends included: a border of the frame of a GIF may be thin."""
    count = min(length, _POINTS)
    return np.arange(count) * (length - 1) // max(1, count - 1)
