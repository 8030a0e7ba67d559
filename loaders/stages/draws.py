"""Augmentation parameters for the images of a stage."""

from __future__ import annotations

import numpy as np

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.spec import BatchSpec


def drawn(count: int, spec: BatchSpec) -> Draws:
    """Return the parameters of as many images as the spec draws them, float32 `[count, 9]`."""
    return spec.augment.draw(spec.seed, 0, np.arange(count))


def drawn_crops(count: int, spec: BatchSpec) -> Crops | None:
    """Return the random-resized crops of as many images; None if images are used whole."""
    if spec.augment.random_resized_crop is None:
        return None
    return spec.augment.draw_crops(spec.seed, 0, np.arange(count))


def crop_of(crops: Crops | None, index: int) -> Crops | None:
    """Return the crop of one image; None if it is used whole."""
    return None if crops is None else crops[index]
