"""The device's part of the augmentation, by the parameters that the loader draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from feedbench.trainer.errors import RecipeError
from feedbench.trainer.recipe import Recipe

DRAW_COLUMNS = 10  # per image: 8 of a projective transform, contrast, brightness


@dataclass(frozen=True)
class DeviceAugment:
    """Which kinds of augmentation the device applies; without any it costs nothing.

    Attributes:
        geometric: pixels move.
        photometric: contrast and brightness change.
    """

    geometric: bool = False
    photometric: bool = False

    def __bool__(self) -> bool:
        return self.geometric or self.photometric

    def apply(self, images: Any, draws: Any, low: Sequence[float], high: Sequence[float]) -> Any:
        """Augmented float32 images `[batch, side, side, 3]`.

        Args:
            draws: float32 `[batch, 10]`: the transform from an output pixel to the input pixel that
                it shows, as for `keras.ops.image.affine_transform`; the contrast, a factor about
                each channel's mean; the brightness, a fraction of the full range.
            low: the value of 0 in these images, per channel.
            high: that of 255.
        """
        from keras import ops

        images = ops.cast(images, "float32")
        if self.geometric:
            images = ops.image.affine_transform(
                images,
                draws[:, :8],
                interpolation="bilinear",
                fill_mode="reflect",
                data_format="channels_last",
            )
        if self.photometric:
            contrast, brightness = (draws[:, column, None, None, None] for column in (8, 9))
            mean = ops.mean(images, axis=(1, 2), keepdims=True)
            black, white = ops.convert_to_tensor(low), ops.convert_to_tensor(high)
            images = (images - mean) * contrast + mean + brightness * (white - black)
            images = ops.clip(images, black, white)
        return images


def check_device_augment(recipe: Recipe, augment: DeviceAugment) -> None:
    """Refuse what XLA cannot compile: TensorFlow's projective transform has no XLA kernel.

    Raises:
        RecipeError: pixels would move inside a compiled step.
    """
    if recipe.jit_compile and augment.geometric:
        raise RecipeError(
            "jit_compile: XLA cannot compile rotation, zoom and crop; set it to false, or leave "
            "them out of on_device"
        )
