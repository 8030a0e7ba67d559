"""What NumPy loaders do to a batch on the host: range and augmentation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loaders.contract import BatchSpec


def ranged(images: NDArray[np.float32], spec: BatchSpec) -> NDArray[np.float32]:
    """Bring float32 pixels of 0 to 255 into the spec's value range, in place."""
    images *= np.float32(spec.scale)
    if spec.offset:
        images += np.float32(spec.offset)
    return images


def flipped(images: NDArray[np.float32], flips: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mirror the flagged images of `[batch, height, width, 3]`, in place."""
    if flips.any():
        images[flips] = images[flips, :, ::-1]
    return images
