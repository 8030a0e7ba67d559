"""The arithmetic of resizing, shared by Pillow, OpenCV and TensorFlow.

Heights and widths are Python integers, or numbers in a TensorFlow graph; in a graph, the caller
passes TensorFlow's own minimum, maximum and conversion to an integer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feedbench.loaders.spec import BatchSpec


def centre_square(
    height: Any, width: Any, *, smaller: Callable[..., Any] = min
) -> tuple[Any, Any, Any]:
    """Top, left and side of the largest square in the centre of an image."""
    side = smaller(height, width)
    return centred(side, height), centred(side, width), side


def centred(length: Any, within: Any) -> Any:
    """Where a length begins that is centred within another."""
    return (within - length) // 2


def padded_size(
    height: Any,
    width: Any,
    side: int,
    *,
    larger: Callable[..., Any] = max,
    whole: Callable[[Any], Any] = int,
) -> tuple[Any, Any]:
    """Height and width of an image that is fitted into a square, at least 1 pixel each.

    Rounded down as `tf.image.resize_with_pad` does; that function fails on an image of which
    nothing would be left.
    """
    ratio = larger(height, width) / side
    return larger(whole(height / ratio), 1), larger(whole(width / ratio), 1)


def shrink_limit(
    height: Any,
    width: Any,
    spec: BatchSpec,
    *,
    smaller: Callable[..., Any] = min,
    larger: Callable[..., Any] = max,
) -> Any:
    """How many times an image can shrink before it has fewer pixels than the batch needs."""
    length = larger(height, width) if spec.resize == "pad" else smaller(height, width)
    return length / spec.image_size
