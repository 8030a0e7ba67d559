"""Optimizer, loss and metric of one phase."""

from __future__ import annotations

from typing import Any

from feedbench.trainer.recipe import Phase, Recipe
from feedbench.trainer.schedule import make_schedule


def compile_for(model: Any, recipe: Recipe, phase: Phase, batch_size: int, images: int) -> None:
    """Compile the model with loss, metric and the phase's optimizer, and build their variables.

    Keras creates the variables of an optimizer and of a metric in the first step, which would then
    be traced twice: that doubles the time to start a training.
    """
    import keras
    import numpy as np

    schedule = make_schedule(recipe, phase, batch_size, images)
    model.compile(
        optimizer=_optimizer(recipe, schedule, model),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        jit_compile=recipe.jit_compile,
        auto_scale_loss=False,
    )
    model.optimizer.build(model.trainable_variables)
    probabilities = np.zeros((1, model.output_shape[-1]), np.float32)
    with keras.StatelessScope():  # several devices can add to metrics in a step alone
        model.compute_loss(y=probabilities, y_pred=probabilities)
        model.compute_metrics(x=None, y=probabilities, y_pred=probabilities)


def compile_own(model: Any, recipe: Recipe, loss: Any, batch_size: int, images: int) -> None:
    """Compile a user's model with the recipe's optimizer, schedule and metric, and a given loss."""
    import keras

    kinds = keras.tree.flatten(loss)
    schedule = make_schedule(recipe, recipe.phases[0], batch_size, images)
    model.compile(
        optimizer=_optimizer(recipe, schedule, model),
        loss=loss,
        metrics=keras.tree.map_structure(_metrics, loss) if len(kinds) > 1 else _metrics(loss),
        jit_compile=recipe.jit_compile,
    )


def _metrics(loss: Any) -> list[Any]:
    import keras

    if isinstance(loss, keras.losses.MeanSquaredError):
        return []
    if isinstance(loss, keras.losses.BinaryCrossentropy) and loss.from_logits:
        # "accuracy" would take logits up to 0.5 for the first class.
        return [keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)]
    return ["accuracy"]


def _optimizer(recipe: Recipe, schedule: Any, model: Any) -> Any:
    import keras

    values: dict[str, Any] = {"learning_rate": schedule}
    if recipe.weight_decay:
        values["weight_decay"] = recipe.weight_decay
    if recipe.gradient_clip_norm:
        values["global_clipnorm"] = recipe.gradient_clip_norm
    if recipe.optimizer != "adam":
        values["momentum"] = recipe.momentum
    if recipe.optimizer == "sgd":
        values["nesterov"] = recipe.nesterov
    optimizers = {
        "sgd": keras.optimizers.SGD,
        "adam": keras.optimizers.Adam,
        "rmsprop": keras.optimizers.RMSprop,
    }
    optimizer = optimizers[recipe.optimizer](**values)
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=undecayed(model))
    if recipe.mixed_precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def undecayed(model: Any) -> list[Any]:
    """Weights without decay: biases, and scale and shift of normalization; they have one axis."""
    return [weight for weight in model.trainable_variables if len(weight.shape) < 2]
