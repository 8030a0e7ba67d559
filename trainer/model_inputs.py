"""What a user's own model takes of the images that Feedbench's loaders give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from feedbench.trainer.augment import DeviceAugment
from feedbench.trainer.errors import RecipeError

_CHANNELS = 3
_WHITE = 255.0


@dataclass(frozen=True)
class ImageInput:
    """The images that a model takes as input.

    Attributes:
        dtype: of its input.
        side: image height and width in pixels; None if any size will do.
        pixels: whether it takes pixels of 0 to 255; else images in the batch spec's value range.
    """

    dtype: str
    side: int | None
    pixels: bool


def image_input(model: Any, name: str) -> ImageInput:
    """The model's input from Feedbench's loaders: RGB images, channels last, of one size.

    It takes pixels as they are if its input has an integer dtype, or if a `Rescaling` or
    `Normalization` layer is in it; otherwise the batch spec's `value_range` is applied before it.

    Args:
        name: of the model, for errors.

    Raises:
        RecipeError: it takes something else.
    """
    import keras

    inputs = declared_inputs(model)
    if inputs is None:
        return ImageInput("float32", None, _has_range(model))
    if len(inputs) > 1:
        raise RecipeError(
            f"{name} returned a model with {len(inputs)} inputs, and a loader of Feedbench gives "
            "one; use a loader of your own: --loader pipeline.py:make_dataset"
        )
    dtype = keras.backend.standardize_dtype(inputs[0].dtype)
    side = _side(tuple(inputs[0].shape), name)
    return ImageInput(dtype, side, "int" in dtype or _has_range(model))


def input_facts(model: Any) -> ImageInput:
    """A model's input, as far as it is declared; also for models that need a user's own batches."""
    inputs = declared_inputs(model)
    try:
        return image_input(model, "")
    except RecipeError:
        return ImageInput(str(inputs[0].dtype) if inputs else "float32", None, pixels=True)


def declared_inputs(model: Any) -> list[Any] | None:
    """The symbolic inputs of a model; None if they are unknown until it is called."""
    try:
        inputs = model.inputs
    except (AttributeError, ValueError):  # a Sequential that is not built raises ValueError
        return None
    return list(inputs) if inputs else None


def structure(model: Any, which: Literal["inputs", "outputs"]) -> Any:
    """The inputs or outputs of a model in the structure in which it was built."""
    found = getattr(model, f"_{which}_struct", getattr(model, which))
    return found[0] if isinstance(found, list) and len(found) == 1 else found


def _side(shape: tuple[int | None, ...], name: str) -> int | None:
    if len(shape) != 4 or shape[3] not in (_CHANNELS, None):
        raise RecipeError(
            f"{name} returned a model that takes inputs of shape {shape}, and a loader of "
            f"Feedbench gives RGB images, channels last: (batch, height, width, {_CHANNELS}); "
            "convert them in the model, or use a loader of your own"
        )
    height, width = shape[1:3]
    if None not in (height, width) and height != width:
        raise RecipeError(
            f"{name} returned a model that takes images of {height} × {width}, and a loader of "
            "Feedbench gives squares; resize in the model, or use a loader of your own"
        )
    return height or width


def _has_range(model: Any) -> bool:
    import keras

    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    return any(isinstance(layer, kinds) for layer in _layers(model))


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model, and those of the models in it."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)


@dataclass(frozen=True)
class ImageConversion:
    """From the images of a loader to those that a model takes, on the device.

    Attributes:
        source: dtype of the loader's images: "uint8" pixels, or "float32" in the value range.
        scale, offset: factor and offset from pixels to the value range, per channel.
    """

    source: str
    target: ImageInput
    scale: Sequence[float]
    offset: Sequence[float]

    def function(self, augment: DeviceAugment) -> Callable[..., Any]:
        """The conversion of images, and of their draws if the device augments."""

        def convert(images: Any, *draws: Any) -> Any:
            if augment:
                images = augment.apply(images, draws[0], *self._limits())
            return self._in_range(images)

        return convert

    def _limits(self) -> tuple[list[float], list[float]]:
        """The values of 0 and 255 in the loader's images."""
        if self.source == "uint8":
            return [0.0] * _CHANNELS, [_WHITE] * _CHANNELS
        pairs = zip(self.scale, self.offset, strict=True)
        return list(self.offset), [_WHITE * factor + start for factor, start in pairs]

    def _in_range(self, images: Any) -> Any:
        from keras import ops

        are_pixels = self.source == "uint8"
        if are_pixels and not self.target.pixels:
            scale, offset = (ops.convert_to_tensor(each, "float32") for each in self._range)
            images = ops.cast(images, "float32") * scale + offset
        elif self.target.pixels and not are_pixels:
            scale, offset = (ops.convert_to_tensor(each, "float32") for each in self._range)
            images = (images - offset) / scale
        if "int" in self.target.dtype and "int" not in str(images.dtype):
            images = ops.clip(ops.round(images), 0.0, _WHITE)
        return ops.cast(images, self.target.dtype)

    @property
    def _range(self) -> tuple[list[float], list[float]]:
        return list(self.scale), list(self.offset)
