"""The network, with and without the value range in front of it, and which layers learn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from feedbench.trainer.errors import RecipeError
from feedbench.trainer.recipe import Phase, Recipe

Channels = Sequence[float]
_OWN_RANGE = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))  # of networks that hold a range themselves


def build_network(recipe: Recipe, image_size: int, classes: int) -> Any:
    """The recipe's network with fresh weights.

    It takes float32 images in range `[batch, side, side, 3]` and gives float32 class shares
    `[batch, classes]`.

    Raises:
        ValueError: a name, an image size or an alpha that keras.applications refuses.
    """
    import keras

    network = construct(recipe, image_size, weights=None, classes=classes)
    # Class shares of 16 bits would round the loss of a sure network to nothing.
    network.layers[-1].dtype_policy = keras.DTypePolicy("float32")
    for layer in _of_kind(network, keras.layers.BatchNormalization):
        layer.momentum = recipe.batch_norm_momentum
    return network


def construct(recipe: Recipe, image_size: int, **values: Any) -> Any:
    """What the constructor of the recipe's network gives.

    Raises:
        ValueError: a name, an image size or an alpha that keras.applications refuses.
    """
    import keras

    constructor = _constructor(recipe.network)
    known = inspect.signature(constructor).parameters
    if "alpha" in known:
        values["alpha"] = recipe.alpha
    elif recipe.alpha != 1:
        raise RecipeError(f"alpha: {recipe.network} has none, got {recipe.alpha}; leave it out")
    if "include_preprocessing" in known:
        values["include_preprocessing"] = False
    keras.utils.set_random_seed(recipe.seed)
    with _precision(recipe):
        return constructor(input_shape=(image_size, image_size, 3), **values)


def _constructor(name: str) -> Callable[..., Any]:
    import keras

    networks = {
        key: value for key, value in vars(keras.applications).items() if inspect.isfunction(value)
    }
    try:
        return networks[name]
    except KeyError:
        raise RecipeError(
            f"network: keras.applications has no {name!r}; it has {', '.join(sorted(networks))}"
        ) from None


def preprocessing(recipe: Recipe) -> Callable[[Any], Any]:
    """What keras.applications does to pixels of 0 to 255 for the network's ImageNet weights."""
    module = inspect.getmodule(_constructor(recipe.network))
    own: Callable[[Any], Any] = module.preprocess_input  # type: ignore[union-attr]
    return own


@contextmanager
def _precision(recipe: Recipe) -> Iterator[None]:
    import keras

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
    """Refuse a second range before a network that holds one itself.

    Raises:
        RecipeError: the network expects pixels of 0 to 255.
    """
    import keras

    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    if (tuple(scale), tuple(offset)) != _OWN_RANGE and _of_kind(network, *kinds):
        raise RecipeError(
            f"network {recipe.network} holds its own range: it needs value_range [0, 255] in the "
            f"batch spec, got one that begins with {offset[0]:g}"
        )


def set_learning(network: Any, recipe: Recipe, phase: Phase) -> None:
    """Let the phase's layers learn, and no others; frozen batch normalization infers."""
    import keras

    layers = [layer for layer in network.layers if layer.weights]
    learning = {
        "all": layers,
        "head": layers[-1:],
        "last": layers[-recipe.fine_tune_layers :],
    }[phase.learns]
    for layer in layers:
        layer.trainable = layer in learning
    if not recipe.from_scratch and not recipe.fine_tune_batch_norm:
        for layer in _of_kind(network, keras.layers.BatchNormalization):
            layer.trainable = False


def with_range(network: Any, scale: Channels, offset: Channels, image_dtype: str) -> Any:
    """The network for pixels of 0 to 255: the range is applied on the device, in one place."""
    import keras

    pixels = keras.Input(network.input_shape[1:], dtype=image_dtype, name="pixels")
    layer = keras.layers.Rescaling(_alike(scale), _alike(offset), name="value_range")
    ranged = layer(pixels)
    return keras.Model(pixels, network(ranged), name=f"{network.name}_on_pixels")


def _alike(channels: Channels) -> Any:
    return channels[0] if len(set(channels)) == 1 else list(channels)


def in_range(network: Any) -> Any:
    """The network for images already in range, as a model of its own on the same weights."""
    import keras

    images = keras.Input(network.input_shape[1:], name="images")
    return keras.Model(images, network(images), name=f"{network.name}_in_range")
