"""A random sample of rows, so that what is done for each file ends in time."""

from __future__ import annotations

from math import inf

import numpy as np

from feedbench.bench.trials.cache_state import Files
from feedbench.loaders import Manifest

IMAGES = 20_000  # drawn by default
WARM_SHARE = 0.5  # files that fit into this share of the available memory stay in the page cache
NOT_DRAWN = "not in the random sample that is measured"


def sample_of(manifest: Manifest, images: int, most_bytes: float = inf) -> Manifest:
    """A random sample of rows, in their order; all if there are no more than that.

    Args:
        manifest: all images.
        images: largest number of rows.
        most_bytes: largest total size of their files, so that they stay in the page cache.
    """
    shuffled = np.random.default_rng(0).permutation(len(manifest))[:images]
    fitting = len(shuffled)
    if most_bytes < inf:
        sizes = Files(manifest).size(shuffled)
        fitting = max(1, int(fitting * min(1.0, most_bytes / max(1, sizes))))
    if fitting == len(manifest):
        return manifest
    chosen = np.zeros(len(manifest), np.bool_)
    chosen[shuffled[:fitting]] = True
    return manifest.where(chosen)
