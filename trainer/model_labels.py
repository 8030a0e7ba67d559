"""Whether the loss and the metrics of a user's own model take the labels of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from feedbench.trainer.base import BatchLike
from feedbench.trainer.model_data import as_array, tensors
from feedbench.trainer.model_fault import declares_batches, form_text
from feedbench.trainer.model_inputs import structure
from feedbench.trainer.model_setup import OwnModel
from feedbench.trainer.model_targets import losses_for


def labels_fault(own: OwnModel, batch: BatchLike) -> str:
    """Return why a model cannot be trained with the labels of a batch; empty if it can.

    Nothing is computed: Keras infers the shapes, as its `fit` does before the first step.

    Args:
        own: takes the images; a model whose own code processes the batches is not checked.

    Raises:
        RecipeError: it is not compiled, and no loss follows from the labels.
    """
    images, labels = tensors(batch.images), tensors(batch.labels)
    if not declares_batches(own.model) or not _are_dense((images, labels)):
        return ""
    given = _symbolic(images), _symbolic(labels)
    outputs = _outputs(own.model, *given)
    if outputs is None:
        return ""
    if own.model.compiled:
        return _refused(own.model, batch, (*given, outputs))
    losses_for(own.model, own.name, _zeros(outputs), _arrays(batch.labels), smoothing=0.0)
    return ""


def _are_dense(values: Any) -> bool:
    """Whether no tensor is ragged or sparse: what a loss does with these, only a step shows."""
    import keras

    flat = keras.tree.flatten(values)
    return all(None not in tuple(one.shape) and not hasattr(one, "dense_shape") for one in flat)


def _outputs(model: Any, images: Any, labels: Any) -> Any:
    """What the model gives for a batch, as symbolic tensors; None if Keras cannot tell."""
    import keras
    from keras.src.backend import compute_output_spec  # Keras has no public name

    size, declared = keras.tree.flatten(labels)[0].shape[0], structure(model, "outputs")
    if all(None not in one.shape[1:] for one in keras.tree.flatten(declared)):
        return keras.tree.map_structure(
            lambda one: keras.KerasTensor((size, *one.shape[1:]), one.dtype), declared
        )
    try:
        return compute_output_spec(model, images, training=False)
    except Exception:  # of any layer, as in the first step
        return None


def _refused(model: Any, batch: BatchLike, given: tuple[Any, Any, Any]) -> str:
    """Why the loss or the metrics cannot take symbolic images, labels and outputs."""
    from keras.src.backend import compute_output_spec

    for what, function in _used(model):
        try:
            compute_output_spec(function, *given, sample_weight=None)
        except Exception as error:  # Keras raises many kinds, and so does a loss of the user's own
            reason = _first_line(error).rstrip(".")
            return f"labels that are {_forms(batch.labels)}; the model's {what}: {reason}"
    return ""


def _used(model: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """What a step calls with the labels."""
    if model.loss is not None:
        yield "loss does not take them", model.compute_loss
    yield "metrics do not take them", model.compute_metrics


def _symbolic(values: Any) -> Any:
    """The tensors without their values."""
    import keras

    def without_values(value: Any) -> Any:
        return keras.KerasTensor(tuple(value.shape), keras.backend.standardize_dtype(value.dtype))

    return keras.tree.map_structure(without_values, values)


def _zeros(outputs: Any) -> Any:
    """Arrays of the shapes of outputs: of a loss that is missing, only these matter."""
    import keras

    return keras.tree.map_structure(lambda one: np.zeros(one.shape, np.float32), outputs)


def _arrays(values: Any) -> Any:
    import keras

    return keras.tree.map_structure(as_array, values)


def _forms(labels: Any) -> str:
    if isinstance(labels, dict):
        return ", ".join(f"{name!r}: {_forms(one)}" for name, one in labels.items())
    if isinstance(labels, list | tuple):
        return ", ".join(map(_forms, labels))
    return form_text(labels)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).strip()
