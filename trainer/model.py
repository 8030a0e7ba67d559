"""The network, with and without the value range in front of it."""

from __future__ import annotations

from typing import Any

from trainer.recipe import Recipe


def build_network(recipe: Recipe, image_size: int, classes: int) -> Any:
    """MobileNetV2 with fresh weights: float32 images in range to class shares `[batch, classes]`.

    Raises:
        ValueError: an image size or alpha that keras.applications refuses.
    """
    import keras

    keras.utils.set_random_seed(recipe.seed)
    network = keras.applications.MobileNetV2(
        input_shape=(image_size, image_size, 3), alpha=recipe.alpha, weights=None, classes=classes
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = recipe.batch_norm_momentum
    return network


def with_range(network: Any, value_range: tuple[float, float], image_dtype: str) -> Any:
    """The network for pixels of 0 to 255: the range is applied on the device, in one place."""
    import keras

    low, high = value_range
    pixels = keras.Input(network.input_shape[1:], dtype=image_dtype, name="pixels")
    ranged = keras.layers.Rescaling((high - low) / 255.0, low, name="value_range")(pixels)
    return keras.Model(pixels, network(ranged), name="mobilenet_v2_on_pixels")


def compile_for(model: Any, recipe: Recipe, batch_size: int, images: int) -> None:
    """Give the model its loss, its metric, and SGD with warm-up and cosine decay."""
    import keras

    steps_per_epoch = images / batch_size
    warm_up_steps = round(recipe.warm_up_epochs * steps_per_epoch)
    steps = max(warm_up_steps + 1, round(recipe.epochs * steps_per_epoch))
    peak = recipe.learning_rate(batch_size)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warm_up_steps else peak,
        decay_steps=steps - warm_up_steps,
        warmup_target=peak if warm_up_steps else None,
        warmup_steps=warm_up_steps,
    )
    model.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=recipe.momentum, nesterov=True),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        jit_compile=recipe.jit_compile,
    )
