"""Augmentation parameters for the images of a stage."""

from __future__ import annotations

import numpy as np

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.contract import BatchSpec


def drawn(count: int, spec: BatchSpec) -> Draws:
    """Return the parameters of as many images as the spec draws them, float32 `[count, 9]`."""
    return spec.augment.draw(spec.seed, 0, np.arange(count))
