"""What is done to the pixels that a library gives: augmentation on the host, and value range."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.augment.host import augmenter, to_range
from feedbench.loaders.contract import BatchSpec, Dtype


class Finish:
    """Augments batches of pixels and brings them into the value range, on the calling thread."""

    def __init__(self, spec: BatchSpec, output: Dtype) -> None:
        self._augment = augmenter(spec)
        self._spec = spec
        self._output = output

    def __call__(self, images: NDArray[np.uint8], draws: Draws) -> NDArray[Any]:
        """Finished images: the same memory for uint8, new memory for float32."""
        self._augment(images, draws)
        if self._output == "uint8":
            return images
        return to_range(images.astype(np.float32), self._spec)
