"""All that the steps of a user's own model change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def model_variables(model: Any) -> list[Any]:
    """Weights, metrics and seeds of a model, and the variables of every optimizer that it holds.

    Those that Keras does not list are found in the attributes of the model and of the layers and
    models inside it: its own `train_step` may use optimizers and raw variables of TensorFlow there.
    """
    optimizer = getattr(model, "optimizer", None)
    known = [
        *model.variables,
        *model.metrics_variables,
        *([] if optimizer is None else optimizer.variables),
        *(
            variable
            for layer in model._flatten_layers()  # noqa: SLF001  Keras has no public name for it
            for value in vars(layer).values()
            for variable in _variables_in(value)
        ),
    ]
    return list({id(variable): variable for variable in known}.values())


def _variables_in(value: Any) -> Iterator[Any]:
    """Variables that a model holds in an attribute, but that Keras does not list."""
    import keras

    if isinstance(value, list | tuple):
        for one in value:
            yield from _variables_in(one)
    elif isinstance(value, dict):
        yield from _variables_in(list(value.values()))
    elif isinstance(value, keras.optimizers.Optimizer):
        yield from value.variables
    elif isinstance(value, keras.Variable) or _is_raw_variable(value):
        yield value


def _is_raw_variable(value: Any) -> bool:
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return isinstance(value, tf.Variable)
