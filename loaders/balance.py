"""How a batch spec balances the classes of a manifest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.manifest import Manifest
from feedbench.loaders.sampling import Sampling
from feedbench.loaders.spec import BatchSpec


def sampling_of(manifest: Manifest, spec: BatchSpec) -> Sampling | None:
    """How often each row comes; None if each comes once."""
    return Sampling.of(manifest.labels, len(manifest.classes), spec.balance)


def images_per_epoch(manifest: Manifest, spec: BatchSpec) -> NDArray[np.int64]:
    """Images of each class per epoch, int64 `[classes]`; repeated ones included."""
    sampling = sampling_of(manifest, spec)
    if sampling is not None:
        return sampling.images
    return np.bincount(manifest.labels, minlength=len(manifest.classes))
