"""The rows of a data set that a diagnosis measures."""

from __future__ import annotations

from feedbench.bench.trials.sample import sample_of
from feedbench.loaders import Manifest
from feedbench.loaders.stages import Stages


def drawn(manifest: Manifest, stages: Stages, images: int, most_bytes: float) -> Manifest:
    """Return a sample of rows, or all if the loader reads a pack of exactly these.

    Args:
        manifest: all images.
        stages: of the loader.
        images: largest number of rows.
        most_bytes: largest total size of their files.
    """
    if stages.reading is not None and stages.reading.needs_all_rows:
        return manifest
    return sample_of(manifest, images, most_bytes)
