"""A pipeline in plain Pillow that decodes a given number of files per batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feedbench.loaders import Manifest

Batch = tuple[NDArray[np.uint8], NDArray[np.int32]]


def batches(manifest: Manifest, batch_size: int, image_size: int, files: int) -> Iterator[Batch]:
    """Yield batches of as many images as asked for, at a rate of 1 ÷ `files`."""
    images = np.zeros((batch_size, image_size, image_size, 3), np.uint8)
    labels, row = np.zeros(batch_size, np.int32), 0
    while True:
        for number in range(files):
            with Image.open(manifest.path(row)) as image:
                side = (image_size, image_size)
                images[number % batch_size] = image.convert("RGB").resize(side)
            row = (row + 1) % len(manifest)
        yield images.copy(), labels
