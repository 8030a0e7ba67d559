"""The rows of a data set that a diagnosis measures, so that it ends in time whatever the size."""

from __future__ import annotations

import numpy as np

from feedbench.bench.trials.cache_state import Files
from feedbench.loaders import Manifest
from feedbench.loaders.stages import Stages

IMAGES = 20_000  # drawn by default


def drawn(manifest: Manifest, stages: Stages, images: int, most_bytes: float) -> Manifest:
    """Return a random sample of rows, in their order; all if there are no more than that.

    Args:
        manifest: all images.
        stages: of the loader.
        images: largest number of rows.
        most_bytes: largest total size of their files, so that they stay in the page cache.
    """
    if stages.reading is not None and stages.reading.needs_all_rows:
        return manifest
    shuffled = np.random.default_rng(0).permutation(len(manifest))[:images]
    sizes = Files(manifest).size(shuffled)
    fitting = max(1, int(len(shuffled) * min(1.0, most_bytes / max(1, sizes))))
    if fitting == len(manifest):
        return manifest
    chosen = np.zeros(len(manifest), np.bool_)
    chosen[shuffled[:fitting]] = True
    return manifest.where(chosen)
