"""The value range of the network's input: one scale and offset per channel for pixels 0 to 255."""

from __future__ import annotations

from typing import Literal

ValueRange = tuple[float, float] | Literal["imagenet"]
Channels = tuple[float, float, float]
# Mean and standard deviation of ImageNet's images in the range 0 to 1, red first. Source:
# torchvision's reference training.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def scale_and_offset(value_range: ValueRange) -> tuple[Channels, Channels]:
    """The factor for a pixel, and the offset to add afterwards; red, green, blue."""
    if value_range == "imagenet":
        red, green, blue = DEVIATION
        scale = (1 / 255 / red, 1 / 255 / green, 1 / 255 / blue)
        red, green, blue = (-mean / each for mean, each in zip(MEAN, DEVIATION, strict=True))
        return scale, (red, green, blue)
    low, high = value_range
    each = (float(high) - float(low)) / 255.0
    return (each, each, each), (float(low), float(low), float(low))
