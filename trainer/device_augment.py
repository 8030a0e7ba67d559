"""What the device changes in images before it trains on them, drawn by the loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DRAWN = 10  # numbers an image: 8 of a projective transform, contrast, brightness


@dataclass(frozen=True)
class Changes:
    """Which kinds of changes the drawn numbers hold; none of them costs nothing.

    Attributes:
        geometry: output pixels show other input pixels.
        colour: contrast and brightness.
    """

    geometry: bool = False
    colour: bool = False

    def __bool__(self) -> bool:
        return self.geometry or self.colour

    def apply(self, images: Any, drawn: Any, low: Sequence[float], high: Sequence[float]) -> Any:
        """Float32 images `[batch, side, side, 3]`, changed.

        Args:
            drawn: float32 `[batch, 10]`: the transform of an output pixel to the input pixel that
                it shows, as `keras.ops.image.affine_transform` takes it; the contrast, a factor
                about each channel's mean; the brightness, a share of the full range.
            low, high: what 0 and 255 are in these images, each channel.
        """
        from keras import ops

        images = ops.cast(images, "float32")
        if self.geometry:
            images = ops.image.affine_transform(
                images,
                drawn[:, :8],
                interpolation="bilinear",
                fill_mode="reflect",
                data_format="channels_last",
            )
        if self.colour:
            contrast, brightness = (drawn[:, at, None, None, None] for at in (8, 9))
            mean = ops.mean(images, axis=(1, 2), keepdims=True)
            least, most = ops.convert_to_tensor(low), ops.convert_to_tensor(high)
            images = (images - mean) * contrast + mean + brightness * (most - least)
            images = ops.clip(images, least, most)
        return images
