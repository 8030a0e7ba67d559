"""What is wrong with a batch for a user's own model, by the shapes that the model declares."""

from __future__ import annotations

from typing import Any

import numpy as np

from feedbench.trainer.base import BatchLike
from feedbench.trainer.model_data import as_array
from feedbench.trainer.model_inputs import declared_inputs
from feedbench.trainer.model_setup import output_shape
from feedbench.trainer.model_targets import label_form, of_keras

Shape = tuple[int | None, ...]


def batch_fault(model: Any, batch: BatchLike) -> str:
    """Return why a model cannot take a batch, and what it takes; empty if it can.

    Args:
        model: compiled or not; one that declares no shapes is not checked.
    """
    return _images_fault(model, batch.images) or _labels_fault(model, batch.labels)


def makes_own_steps(model: Any) -> bool:
    """Whether a model's own code processes the batches before its inputs or its loss."""
    import keras

    names = ("train_step", "compute_loss")
    return any(getattr(type(model), name) is not getattr(keras.Model, name) for name in names)


def _images_fault(model: Any, images: Any) -> str:
    for name, array, declared in _pairs(images, declared_inputs(model)):
        if not _fits(np.shape(array), tuple(declared.shape)):
            return f"{name} that are {_form(array)}; the model takes {_text(declared.shape)}"
    return ""


def _pairs(images: Any, inputs: list[Any] | None) -> list[tuple[str, Any, Any]]:
    """The arrays of a batch with their names and the inputs that take them."""
    if inputs is None:
        return []
    if isinstance(images, dict):
        by_name = {one.name: one for one in inputs}
        return [
            (f"images[{name!r}]", images[name], by_name[name]) for name in images if name in by_name
        ]
    if isinstance(images, list | tuple):
        return [(f"images[{n}]", *pair) for n, pair in enumerate(zip(images, inputs, strict=False))]
    return [("images", images, inputs[0])] if len(inputs) == 1 else []


def _fits(shape: tuple[int, ...], declared: Shape) -> bool:
    return len(shape) == len(declared) and all(
        size in (None, given) for given, size in zip(shape[1:], declared[1:], strict=True)
    )


def _labels_fault(model: Any, labels: Any) -> str:
    """What is wrong with the classes for a model with one output and a loss of Keras, or none."""
    shape = output_shape(model)
    loss = model.loss if model.compiled else "sparse"
    if not isinstance(shape, tuple) or len(shape) != 2 or not shape[1] or not of_keras(loss):
        return ""
    if isinstance(labels, dict | list | tuple):
        return ""
    array, units = as_array(labels), shape[1]
    are_indices = bool(array.size) and array.dtype.kind in "iu" and units > 1
    are_indices = are_indices and label_form(loss, units) == "index"
    if not are_indices or getattr(loss, "ignore_class", None) is not None:
        return ""
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high < units:
        return ""
    return (
        f"labels that are {_form(array)} of {low} to {high}; the model has {units} outputs, so "
        f"that classes are 0 to {units - 1}"
    )


def _form(array: Any) -> str:
    dtype = getattr(array, "dtype", None)
    return f"{getattr(dtype, 'name', dtype)} {list(np.shape(array))}"


def _text(shape: Shape) -> str:
    sizes = ["batch", *("any" if size is None else str(size) for size in shape[1:])]
    return f"[{', '.join(sizes)}]"
