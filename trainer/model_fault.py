"""What is wrong with a batch for a user's own model, by the shapes that the model declares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feedbench.trainer.base import BatchLike
from feedbench.trainer.model_data import as_array
from feedbench.trainer.model_inputs import declared_inputs, structure
from feedbench.trainer.model_setup import output_shape
from feedbench.trainer.model_targets import label_form, of_keras

Shape = tuple[int | None, ...]


def batch_fault(model: Any, batch: BatchLike) -> str:
    """Return why a model cannot take a batch, and what it takes; empty if it can.

    Args:
        model: compiled or not; one that declares no shapes is not checked.
    """
    return _images_fault(model, batch.images) or _classes_fault(model, batch.labels)


def makes_own_steps(model: Any) -> bool:
    """Whether a model's own code processes the batches before its inputs or its loss."""
    import keras

    names = ("train_step", "compute_loss")
    return any(getattr(type(model), name) is not getattr(keras.Model, name) for name in names)


def declares_batches(model: Any) -> bool:
    """Whether a model says what batches it takes before it is called."""
    return declared_inputs(model) is not None and not makes_own_steps(model)


def _images_fault(model: Any, images: Any) -> str:
    inputs = declared_inputs(model)
    if inputs is None:
        return ""
    if fault := _number_fault(model, images, inputs):
        return fault
    for name, array, declared in _pairs(model, images, inputs):
        if not _fits(_shape(array), tuple(declared.shape)):
            return f"{name} that are {form_text(array)}; the model takes {_text(declared.shape)}"
    return ""


def _number_fault(model: Any, images: Any, inputs: list[Any]) -> str:
    """What is wrong with the number of arrays, or with their names."""
    if any(_is_optional(one) for one in inputs):
        return ""
    if isinstance(images, dict):
        return _names_fault(model, images, inputs)
    arrays = list(images) if isinstance(images, list | tuple) else [images]
    if len(arrays) == len(inputs) or _is_nested(arrays):
        return ""
    given = ", ".join(map(form_text, arrays))
    taken = ", ".join(_text(one.shape) for one in inputs)
    count = f"{len(arrays)} array{'s' * (len(arrays) != 1)}"
    return f"{count} as images, {given}; the model takes {len(inputs)}: {taken}"


def _is_nested(arrays: Iterable[Any]) -> bool:
    """Whether some of the arrays are several, whose places among the inputs only Keras knows."""
    return any(isinstance(one, dict | list | tuple) for one in arrays)


def _names_fault(model: Any, images: dict[str, Any], inputs: list[Any]) -> str:
    names, declared = list(_by_name(model, inputs)), structure(model, "inputs")
    given = list(images)
    if isinstance(declared, dict):  # Keras then takes as many as it needs, sorted
        given = sorted(images)[: len(declared)]
    if set(names) <= set(given):
        return ""
    came, taken = ", ".join(map(repr, images)), ", ".join(map(repr, names))
    return f"images called {came}; the model takes {taken}"


def _is_optional(declared: Any) -> bool:
    """Whether the model also takes None in place of an input."""
    return bool(getattr(declared._keras_history.operation, "optional", False))  # noqa: SLF001  Keras has no public name


def _by_name(model: Any, inputs: list[Any]) -> dict[str, Any]:
    """The inputs by the names under which a dict gives them; without those that are nested."""
    found = structure(model, "inputs")
    if not isinstance(found, dict):
        return {one.name: one for one in inputs}
    return {name: one for name, one in found.items() if hasattr(one, "shape")}


def _pairs(model: Any, images: Any, inputs: list[Any]) -> list[tuple[str, Any, Any]]:
    """The arrays of a batch with their names and the inputs that take them."""
    if isinstance(images, dict):
        by_name = _by_name(model, inputs)
        return [
            (f"images[{name!r}]", images[name], by_name[name]) for name in images if name in by_name
        ]
    if isinstance(images, list | tuple):
        pairs = [] if _is_nested(images) else zip(images, inputs, strict=False)
        return [(f"images[{n}]", *pair) for n, pair in enumerate(pairs)]
    return [("images", images, inputs[0])] if len(inputs) == 1 else []


def _fits(shape: Shape, declared: Shape) -> bool:
    """Whether an array can be taken; Keras adds or drops a last axis of one."""
    if len(shape) == len(declared) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == len(declared) - 1 and declared[-1] == 1:
        declared = declared[:-1]
    return len(shape) == len(declared) and all(
        None in (given, size) or given == size
        for given, size in zip(shape[1:], declared[1:], strict=True)
    )


def _classes_fault(model: Any, labels: Any) -> str:
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
        f"labels that are {form_text(array)} of {low} to {high}; the model has {units} outputs, so "
        f"that classes are 0 to {units - 1}"
    )


def _shape(array: Any) -> Shape:
    """The shape; an axis of ragged length is None."""
    return tuple(getattr(array, "shape", ()))


def form_text(array: Any) -> str:
    """Dtype and shape of an array."""
    dtype = getattr(array, "dtype", None)
    return f"{getattr(dtype, 'name', dtype)} {list(_shape(array))}"


def _text(shape: Shape) -> str:
    sizes = ["batch", *("any" if size is None else str(size) for size in shape[1:])]
    return f"[{', '.join(sizes)}]"
