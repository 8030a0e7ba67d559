"""Optimizer, loss and metric of one phase."""

from __future__ import annotations

from typing import Any

from feedbench.trainer.recipe import Phase, Recipe
from feedbench.trainer.schedule import make_schedule


def compile_for(model: Any, recipe: Recipe, phase: Phase, batch_size: int, images: int) -> None:
    """Give the model its loss, its metric, and the phase's optimizer; everything built.

    Keras makes an optimizer's and a metric's variables in the first step, which would then be
    traced twice: half of the start of a training.
    """
    import keras
    import numpy as np

    rate = make_schedule(recipe, phase, batch_size, images)
    model.compile(
        optimizer=_optimizer(recipe, rate, model),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        jit_compile=recipe.jit_compile,
        auto_scale_loss=False,
    )
    model.optimizer.build(model.trainable_variables)
    shares = np.zeros((1, model.output_shape[-1]), np.float32)
    model.compute_loss(y=shares, y_pred=shares)
    model.compute_metrics(x=None, y=shares, y_pred=shares)
    model.reset_metrics()


def _optimizer(recipe: Recipe, rate: Any, model: Any) -> Any:
    import keras

    values: dict[str, Any] = {"learning_rate": rate}
    if recipe.weight_decay:
        values["weight_decay"] = recipe.weight_decay
    if recipe.gradient_clip_norm:
        values["global_clipnorm"] = recipe.gradient_clip_norm
    if recipe.optimizer != "adam":
        values["momentum"] = recipe.momentum
    if recipe.optimizer == "sgd":
        values["nesterov"] = recipe.nesterov
    kinds = {
        "sgd": keras.optimizers.SGD,
        "adam": keras.optimizers.Adam,
        "rmsprop": keras.optimizers.RMSprop,
    }
    optimizer = kinds[recipe.optimizer](**values)
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=undecayed(model))
    if recipe.mixed_precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def undecayed(model: Any) -> list[Any]:
    """Biases, and scale and shift of normalization: the weights of fewer than two axes."""
    return [weight for weight in model.trainable_variables if len(weight.shape) < 2]
