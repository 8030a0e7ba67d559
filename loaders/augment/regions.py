"""Random-resized crops: the region of an image that is resized to the batch's size.

A region is drawn before the size of its image is known, as candidates of which the image takes the
first that fits. All arithmetic is that of float64, so that NumPy and TensorFlow cut the same.

Source: Szegedy et al., "Going deeper with convolutions" (2015), section 6; the ten tries, the
log-uniform aspect ratio and the centre crop after them as in torchvision's `RandomResizedCrop`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TRIES = 10
# A candidate's width and height over the root of the image's area, one pair per try; the position
# as a fraction of the room that the region leaves; the bounds of the aspect ratio.
LEFT, TOP, LOW, HIGH = range(2 * TRIES, 2 * TRIES + 4)
COLUMNS = HIGH + 1
Crops = NDArray[np.float32]  # `[images, COLUMNS]`, or `[COLUMNS]` of one image
Uniform = Callable[[int, float, float], NDArray[np.float64]]


class Region(NamedTuple):
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The region of an image `[height, width, 3]`, in the same memory."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]

    def shrunk(self, ratio: int, height: int, width: int) -> Region:
        """The region in an image of this size, which was shrunk by a ratio."""
        top, down = _shrunk(self.top, self.height, ratio, height)
        left, across = _shrunk(self.left, self.width, ratio, width)
        return Region(top, left, down, across)


def draw_crops(
    images: int, scale: tuple[float, float], ratio: tuple[float, float], uniform: Uniform
) -> Crops:
    """The candidates of some images, float32 `[images, COLUMNS]`.

    Args:
        scale: bounds of the region's area, as a fraction of the image's.
        ratio: bounds of the region's width ÷ height.
        uniform: returns one value per image between two bounds; its first argument numbers them.
    """
    crops = np.empty((images, COLUMNS), np.float32)
    low, high = map(math.log, ratio)
    for number in range(TRIES):
        area = uniform(2 * number, *scale)
        aspect = np.exp(uniform(2 * number + 1, low, high))
        crops[:, 2 * number] = np.sqrt(area * aspect)
        crops[:, 2 * number + 1] = np.sqrt(area / aspect)
    for column in (LEFT, TOP):
        crops[:, column] = uniform(column, 0.0, 1.0)
    crops[:, LOW], crops[:, HIGH] = ratio
    return crops


def region_in(height: int, width: int, crop: Crops) -> Region:
    """The region of an image of this size, from its candidates `[COLUMNS]`."""
    values = crop.tolist()
    root = math.sqrt(float(height) * float(width))
    for number in range(TRIES):
        across, down = (round(root * factor) for factor in values[2 * number : 2 * number + 2])
        if 0 < across <= width and 0 < down <= height:
            top = _begin(values[TOP], height - down)
            return Region(top, _begin(values[LEFT], width - across), down, across)
    return _centre(height, width, values[LOW], values[HIGH])


def _begin(fraction: float, room: int) -> int:
    return min(int(fraction * (room + 1)), room)


def _centre(height: int, width: int, low: float, high: float) -> Region:
    """The largest region in the centre whose aspect ratio is within the bounds."""
    across = min(max(round(height * high), 1), width)
    down = min(max(round(width / low), 1), height)
    return Region((height - down) // 2, (width - across) // 2, down, across)


def _shrunk(begin: int, length: int, ratio: int, within: int) -> tuple[int, int]:
    """Where an interval begins after shrinking, and its length, at least 1."""
    first = min((2 * begin + ratio) // (2 * ratio), within - 1)
    last = min((2 * (begin + length) + ratio) // (2 * ratio), within)
    return first, max(last - first, 1)
