"""What is drawn for the images of a stage."""

from __future__ import annotations

import numpy as np

from feedbench.loaders.augment import FLIP, NEUTRAL, Draws
from feedbench.loaders.contract import BatchSpec


def flips(count: int, spec: BatchSpec) -> Draws:
    """Draws that mirror every other image if the spec asks for flips, and change nothing else."""
    draws = np.tile(np.asarray(NEUTRAL, np.float32), (count, 1))
    draws[:, FLIP] = np.arange(count) % 2 if spec.augment.horizontal_flip else 0
    return draws
