"""What pixels of 0 to 255 become before the network sees them: one scale and offset a channel."""

from __future__ import annotations

from typing import Literal

ValueRange = tuple[float, float] | Literal["imagenet"]
Channels = tuple[float, float, float]
# Mean and deviation of ImageNet's images in the range 0 to 1, red first. Source: torchvision's
# reference training.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def scale_and_offset(value_range: ValueRange) -> tuple[Channels, Channels]:
    """What a pixel is multiplied by, and what is then added; red, green, blue."""
    if value_range == "imagenet":
        red, green, blue = _DEVIATION
        scale = (1 / 255 / red, 1 / 255 / green, 1 / 255 / blue)
        red, green, blue = (-mean / each for mean, each in zip(_MEAN, _DEVIATION, strict=True))
        return scale, (red, green, blue)
    low, high = value_range
    each = (float(high) - float(low)) / 255.0
    return (each, each, each), (float(low), float(low), float(low))
