"""What pixels of 0 to 255 become before the network sees them: one scale and offset a channel."""

from __future__ import annotations

from typing import Literal

ValueRange = tuple[float, float] | Literal["imagenet"]
IMAGENET = "imagenet"
# Source: torchvision's reference training; of ImageNet's images in the range 0 to 1, red first.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def scale_and_offset(value_range: ValueRange) -> tuple[list[float], list[float]]:
    """What a pixel is multiplied by, and what is then added; red, green, blue."""
    if isinstance(value_range, str):
        return (
            [1 / 255 / deviation for deviation in IMAGENET_DEVIATION],
            [
                -mean / deviation
                for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)
            ],
        )
    low, high = value_range
    return [(high - low) / 255.0] * 3, [low] * 3
