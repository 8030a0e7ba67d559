"""Augmentation and value range of NumPy batches on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.draws import (
    BRIGHTNESS,
    CONTRAST,
    FLIP,
    GEOMETRY,
    NEUTRAL,
    QUALITY,
    Draws,
    transforms,
)
from feedbench.loaders.spec import BatchSpec

_LEVELS = np.arange(256, dtype=np.float32)[:, None]


def to_range(images: NDArray[np.float32], spec: BatchSpec) -> NDArray[np.float32]:
    """Bring contiguous float32 pixels of 0 to 255 into the spec's value range, in place."""
    width = images.shape[-2]
    lines = images.reshape(-1, width * 3)  # long lines: NumPy is slow over a last axis of 3
    lines *= np.tile(np.array(spec.scale, np.float32), width)
    if any(spec.offset):
        lines += np.tile(np.array(spec.offset, np.float32), width)
    return images


def augment_to_range(
    images: NDArray[np.float32], draws: Draws, spec: BatchSpec
) -> NDArray[np.float32]:
    """Augment float32 pixels of 0 to 255 and bring them into the value range, in place."""
    return to_range(augment_floats(images, draws, spec), spec)


def augment_floats(
    images: NDArray[np.float32], draws: Draws, spec: BatchSpec
) -> NDArray[np.float32]:
    """Augment float32 pixels of 0 to 255, in place."""
    augment = spec.augment.on_host
    if not augment:
        return images
    if augment.only_flips:
        return flipped(images, draws[:, FLIP] > 0)
    draws = spec.augment.for_host(draws)
    for index in range(len(images)):  # one by one, they stay in the processor's cache
        one = slice(index, index + 1)
        images[one] = augmented(to_bytes(images[one]), draws[one])
    return images


def augmenter(spec: BatchSpec) -> Callable[[NDArray[np.uint8], Draws], object]:
    """A function that augments pixels `[batch, height, width, 3]` by their draws, in place."""
    augment = spec.augment.on_host
    if not augment:
        return lambda images, draws: None
    if augment.only_flips:
        return lambda images, draws: flipped(images, draws[:, FLIP] > 0)

    def augment_in_place(images: NDArray[np.uint8], draws: Draws) -> None:
        for index in range(len(images)):  # one by one, they stay in the processor's cache
            one = slice(index, index + 1)
            images[one] = augmented(images[one], spec.augment.for_host(draws[one]))

    return augment_in_place


def to_bytes(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels of 0 to 255 as uint8, rounded."""
    return images if images.dtype == np.uint8 else np.rint(images).astype(np.uint8)


def flipped(images: NDArray[Any], flips: NDArray[np.bool_]) -> NDArray[Any]:
    """Mirror the flagged images of `[batch, height, width, 3]`, in place."""
    import cv2

    for index in np.flatnonzero(flips):  # 7 times as fast as NumPy's own assignment
        cv2.flip(images[index], 1, images[index])
    return images


def augmented(images: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
    """The images of `[batch, side, side, 3]`, augmented by their draws, in new memory.

    First flip, rotation, zoom and crop in one bilinear sampling, mirrored beyond the edges; then
    contrast and brightness, rounded and clipped to 0 to 255; then JPEG. By OpenCV, since it was the
    fastest and gives every loader the same pixels.
    """
    import cv2

    cv2.setNumThreads(1)  # the loaders' own workers already use all cores
    out = np.empty_like(images)
    matrices = transforms(draws, images.shape[1]).reshape(-1, 2, 3)
    is_warped = (draws[:, GEOMETRY] != NEUTRAL[GEOMETRY]).any(axis=1)
    for index, (image, draw) in enumerate(zip(images, draws, strict=True)):
        target = out[index]
        if is_warped[index]:
            _warp(image, matrices[index], target)
        else:
            target[:] = image[:, ::-1] if draw[FLIP] else image
        if draw[CONTRAST] != 1 or draw[BRIGHTNESS]:
            _adjust_colours(target, draw)
        if draw[QUALITY]:
            _recompress(target, int(draw[QUALITY]))
    return out


def _warp(image: NDArray[np.uint8], matrix: Draws, target: NDArray[np.uint8]) -> None:
    import cv2

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = image.shape[1::-1]
    cv2.warpAffine(image, matrix, size, target, flags, cv2.BORDER_REFLECT)


def _adjust_colours(image: NDArray[np.uint8], draw: Draws) -> None:
    import cv2

    mean = np.array(cv2.mean(image)[:3], np.float32)
    levels = (_LEVELS - mean) * draw[CONTRAST] + mean + draw[BRIGHTNESS] * 255
    cv2.LUT(image, np.rint(levels.clip(0, 255)).astype(np.uint8)[None], image)


def _recompress(image: NDArray[np.uint8], quality: int) -> None:
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    image[:] = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)  # type: ignore[assignment]
