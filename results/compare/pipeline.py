"""A pipeline in plain Pillow, which can be slowed by a known share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import perf_counter, sleep

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feedbench.loaders import Manifest

Batch = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]]


def photos(
    manifest: Manifest, batch_size: int, image_size: int, slowed: float | None = None
) -> Iterator[Batch]:
    """Yield images, labels and rows, at 1 - `slowed` of the rate of this pipeline.

    Without the setting, the environment variable SLOWED says how much.
    """
    share = float(os.environ.get("SLOWED", "0")) if slowed is None else slowed
    rows, side = np.arange(len(manifest)), (image_size, image_size)
    while True:
        for start in range(0, len(rows) - batch_size + 1, batch_size):
            begin, batch = perf_counter(), rows[start : start + batch_size]
            images = [_decoded(manifest.path(int(row)), side) for row in batch]
            stacked = np.stack(images)
            sleep((perf_counter() - begin) * share / (1 - share))
            yield stacked, manifest.labels[batch], batch


def _decoded(path: str, side: tuple[int, int]) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        image.draft("RGB", side)
        return np.asarray(image.convert("RGB").resize(side, Image.Resampling.NEAREST))
