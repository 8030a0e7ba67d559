"""Settings that the internal loaders share."""

from __future__ import annotations

from feedbench.loaders import Dtype, Settings


class PixelSettings(Settings):
    """Settings of a loader whose batches always hold uint8 pixels."""

    @property
    def image_dtype(self) -> Dtype:
        """Dtype of the images."""
        return "uint8"
