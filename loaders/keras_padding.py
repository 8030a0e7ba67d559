"""Images so long that Keras' own padding would shrink them to nothing, which is an error there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.errors import ImageError
from feedbench.loaders.files import read_file
from feedbench.loaders.images.decode_path import unseen
from feedbench.loaders.images.tensorflow import Decoding
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.spec import BatchSpec


def too_long(manifest: Manifest, spec: BatchSpec) -> NDArray[np.bool_]:
    """Such rows, boolean `[rows]`, as far as an audit knows their size."""
    if spec.resize != "pad" or not manifest.audited:
        return np.zeros(len(manifest), np.bool_)
    height, width = (
        pc.fill_null(manifest.table[name], 1).to_numpy() for name in ("height", "width")
    )
    return np.asarray(_shrinks_to_nothing(height, width, spec.image_size), np.bool_)


def long_images(
    rows: Rows, manifest: Manifest, spec: BatchSpec, decoding: Decoding
) -> list[ImageError]:
    """An error for each such file among rows that no audit has seen."""
    if spec.resize != "pad":
        return []
    faults = []
    for row in rows[unseen(manifest)[rows]].tolist():
        path = manifest.path(row)
        height, width, _ = decoding(read_file(path), 0).shape
        if _shrinks_to_nothing(height, width, spec.image_size):
            why = f"it pads no image of {width:,} × {height:,} pixels; run feedbench scan first"
            faults.append(ImageError(path, row, "Keras", why))
    return faults


def _shrinks_to_nothing(height: Any, width: Any, side: int) -> Any:
    return np.minimum(height, width) * np.int64(side) <= np.maximum(height, width)
