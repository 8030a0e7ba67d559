"""The network, with or without the value range in front of it, and its trainable layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from feedbench.trainer.networks import (
    Channels,
    check_identity,
    constructors,
    no_alpha,
    unknown_network,
)
from feedbench.trainer.recipe import Phase, Recipe


def build_network(recipe: Recipe, image_size: int, classes: int) -> Any:
    """The recipe's network with fresh weights.

    From float32 images in range `[batch, side, side, 3]` to float32 class probabilities
    `[batch, classes]`.

    Raises:
        ValueError: keras.applications refuses the name, the image size or alpha.
    """
    import keras

    network = construct(recipe, image_size, weights=None, classes=classes)
    # 16-bit probabilities would round the loss of a confident network to zero.
    network.layers[-1].dtype_policy = keras.DTypePolicy("float32")
    for layer in _of_kind(network, keras.layers.BatchNormalization):
        layer.momentum = recipe.batch_norm_momentum
    return network


def construct(recipe: Recipe, image_size: int, **values: Any) -> Any:
    """Call the constructor of the recipe's network.

    Raises:
        ValueError: keras.applications refuses the name, the image size or alpha.
    """
    constructor = _constructor(recipe.network)
    parameters = inspect.signature(constructor).parameters
    if "alpha" in parameters:
        values["alpha"] = recipe.alpha
    elif recipe.alpha != 1:
        raise no_alpha(recipe)
    if "include_preprocessing" in parameters:
        values["include_preprocessing"] = False
    with building(recipe):
        return constructor(input_shape=(image_size, image_size, 3), **values)


def _constructor(name: str) -> Callable[..., Any]:
    networks = constructors()
    try:
        return networks[name]
    except KeyError:
        raise unknown_network(name, networks) from None


def preprocessing(recipe: Recipe) -> Callable[[Any], Any]:
    """The `preprocess_input` of the network's ImageNet weights, for pixels of 0 to 255."""
    module = inspect.getmodule(_constructor(recipe.network))
    preprocess: Callable[[Any], Any] = module.preprocess_input  # type: ignore[union-attr]
    return preprocess


@contextmanager
def building(recipe: Recipe) -> Iterator[None]:
    """Build a network inside with the recipe's seed and precision."""
    import keras

    keras.utils.set_random_seed(recipe.seed)
    before = keras.config.dtype_policy()
    if recipe.mixed_precision != "none":
        keras.config.set_dtype_policy(f"mixed_{recipe.mixed_precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _of_kind(network: Any, *kinds: type) -> list[Any]:
    return [layer for layer in network.layers if isinstance(layer, kinds)]


def check_range(network: Any, recipe: Recipe, scale: Channels, offset: Channels) -> None:
    """Refuse a value range for a network that has one inside.

    Raises:
        RecipeError: the network expects pixels of 0 to 255.
    """
    import keras

    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    if _of_kind(network, *kinds):
        check_identity(recipe, scale, offset)


def set_trainable(network: Any, recipe: Recipe, phase: Phase) -> None:
    """Make the phase's layers trainable and freeze all others.

    Frozen batch normalization runs in inference mode.
    """
    import keras

    layers = [layer for layer in network.layers if layer.weights]
    trainable = {
        "all": layers,
        "head": layers[-1:],
        "last": layers[-recipe.fine_tune_layers :],
    }[phase.trainable]
    for layer in layers:
        layer.trainable = layer in trainable
    if not recipe.from_scratch and not recipe.fine_tune_batch_norm:
        for layer in _of_kind(network, keras.layers.BatchNormalization):
            layer.trainable = False


def with_range(network: Any, scale: Channels, offset: Channels, image_dtype: str) -> Any:
    """The network for pixels of 0 to 255: the value range is applied on the device."""
    import keras

    pixels = keras.Input(network.input_shape[1:], dtype=image_dtype, name="pixels")
    layer = keras.layers.Rescaling(
        _scalar_if_equal(scale), _scalar_if_equal(offset), name="value_range"
    )
    ranged = layer(pixels)
    return keras.Model(pixels, network(ranged), name=f"{network.name}_on_pixels")


def _scalar_if_equal(channels: Channels) -> Any:
    return channels[0] if len(set(channels)) == 1 else list(channels)


def in_range(network: Any) -> Any:
    """The network for images in range, as a separate model with the same weights."""
    import keras

    images = keras.Input(network.input_shape[1:], name="images")
    return keras.Model(images, network(images), name=f"{network.name}_in_range")
