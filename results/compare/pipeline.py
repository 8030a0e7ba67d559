"""A pipeline in plain Pillow, which can be slowed by a known share."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter, sleep

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feedbench.loaders import Manifest

Batch = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]]

SLOWED = 0.0  # share of its rate that it loses
IMAGES = 192  # the first ones, so that each block reads the same


def photos(manifest: Manifest, batch_size: int, image_size: int) -> Iterator[Batch]:
    """Yield images, labels and rows, at 1 - `SLOWED` of the rate of this pipeline."""
    rows, side = np.arange(min(IMAGES, len(manifest))), (image_size, image_size)
    while True:
        for start in range(0, len(rows) - batch_size + 1, batch_size):
            begin, batch = perf_counter(), rows[start : start + batch_size]
            images = [_decoded(manifest.path(int(row)), side) for row in batch]
            stacked = np.stack(images)
            sleep((perf_counter() - begin) * SLOWED / (1 - SLOWED))
            yield stacked, manifest.labels[batch], batch


def _decoded(path: str, side: tuple[int, int]) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        image.draft("RGB", side)
        return np.asarray(image.convert("RGB").resize(side, Image.Resampling.NEAREST))
