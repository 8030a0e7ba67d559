"""Augmentation parameters for the images of a stage."""

from __future__ import annotations

import numpy as np

from feedbench.loaders.augment.draws import FLIP, NEUTRAL, Draws
from feedbench.loaders.contract import BatchSpec


def flips(count: int, spec: BatchSpec) -> Draws:
    """Return parameters that flip every other image if the spec has flips, and nothing else."""
    draws = np.tile(np.asarray(NEUTRAL, np.float32), (count, 1))
    draws[:, FLIP] = np.arange(count) % 2 if spec.augment.horizontal_flip else 0
    return draws
