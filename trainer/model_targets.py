"""The labels and the loss of a user's own model."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from feedbench.trainer.errors import RecipeError

# index: int32 `[batch]`; one_hot: float32 `[batch, classes]`; column: float32 `[batch, 1]`
LabelForm = Literal["index", "one_hot", "column"]
_BASES = ("loss", "lossfunctionwrapper")  # of the user's own losses
_ROUNDING = 0.02  # of the sum of probabilities in 16 bits


def label_form(loss: Any, units: int) -> LabelForm:
    """The form of labels that a compiled model needs, by its loss.

    Class indices for the sparse losses of Keras, for a user's own loss, and without one; one-hot
    vectors for the other losses of Keras, or 0 and 1 where the model has a single output unit.
    """
    kind = _keras_loss(loss)
    if not kind or "sparse" in kind:
        return "index"
    return "one_hot" if units > 1 else "column"


def of_keras(loss: Any) -> bool:
    """Whether a model is compiled with one loss of Keras, whose labels are known."""
    return bool(_keras_loss(loss))


def _keras_loss(loss: Any) -> str:
    """The lower-case name of a loss of Keras; empty for one of the user's own."""
    if isinstance(loss, str):
        return loss.lower()
    kinds = [loss] if hasattr(loss, "__name__") else type(loss).__mro__
    of_keras = [kind for kind in kinds if kind.__module__.startswith("keras.")]
    name = of_keras[0].__name__.lower() if of_keras else ""
    return "" if name in _BASES else str(name)


def are_probabilities(outputs: NDArray[Any]) -> bool:
    """Whether outputs are class probabilities: none is negative, and those of an image add to 1.

    Of logits that is never true: it would need a softmax.
    """
    values = outputs.astype(np.float32)
    sums = values.sum(-1)
    return bool((values >= 0).all() and np.allclose(sums, 1, atol=_ROUNDING))


def as_probabilities(outputs: Any, *, logits: bool | None = None) -> NDArray[np.float32] | None:
    """Class probabilities `[batch, classes]` from a classifier's outputs; None for other models.

    Args:
        logits: whether they are logits, from `gives_logits`; if None, their values decide.
    """
    if not isinstance(outputs, np.ndarray) or outputs.ndim != 2:
        return None
    values = outputs.astype(np.float32)
    if values.shape[-1] == 1:
        if logits is None:
            logits = bool(((values < 0) | (values > 1)).any())
        second = 1 / (1 + np.exp(-values)) if logits else values.clip(0, 1)
        return np.concatenate([1 - second, second], -1)
    if not logits and are_probabilities(values):
        return values
    powers = np.exp(values - values.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)


def classifier_loss(model: Any, name: str, outputs: Any, classes: int, smoothing: float) -> Any:
    """The crossentropy of a model that is not compiled, for classes.

    Args:
        outputs: of one batch.
    """
    from keras import losses

    if not isinstance(outputs, np.ndarray) or outputs.ndim != 2:
        raise RecipeError(
            f"{name} returned a model with outputs {_shapes(outputs)}, and a loader of Feedbench "
            "gives one class for each image; use a loader of your own, or compile the model"
        )
    check_classes(name, outputs.shape[-1], classes)
    if outputs.shape[-1] == 1:
        return losses.BinaryCrossentropy(from_logits=not _ends_in_sigmoid(model, None))
    return losses.CategoricalCrossentropy(
        from_logits=not are_probabilities(outputs), label_smoothing=smoothing
    )


def losses_for(model: Any, name: str, outputs: Any, labels: Any, smoothing: float) -> Any:
    """A loss for each output of a model that is not compiled, by its values and its labels.

    Args:
        outputs: of one batch, an array or a list, tuple or dict of arrays.
        labels: of the same batch, in the same structure.
        smoothing: of one-hot labels.

    Raises:
        RecipeError: no loss follows from them.
    """
    if isinstance(outputs, dict):
        _check_same(name, isinstance(labels, dict) and set(labels) == set(outputs), outputs, labels)
        return {
            key: _loss(model, key, name, one, labels[key], smoothing)
            for key, one in outputs.items()
        }
    if isinstance(outputs, list | tuple):
        several = isinstance(labels, list | tuple) and len(labels) == len(outputs)
        _check_same(name, several, outputs, labels)
        keys = getattr(model, "output_names", [None] * len(outputs))
        triples = zip(keys, outputs, labels, strict=True)
        return [_loss(model, key, name, one, label, smoothing) for key, one, label in triples]
    return _loss(model, None, name, outputs, labels, smoothing)


def _check_same(name: str, same: bool, outputs: Any, labels: Any) -> None:
    if not same:
        raise RecipeError(
            f"{name} returned a model with outputs {_shapes(outputs)}, and the labels are "
            f"{_shapes(labels)}: one for each output is needed, in the same order or under the "
            "same names"
        )


def _shapes(values: Any) -> str:
    if isinstance(values, dict):
        return "{" + ", ".join(f"{key}: {_shapes(one)}" for key, one in values.items()) + "}"
    if isinstance(values, list | tuple):
        return "(" + ", ".join(map(_shapes, values)) + ")"
    return str(tuple(np.shape(values)))


def _loss(
    model: Any, key: str | None, name: str, outputs: Any, labels: Any, smoothing: float
) -> Any:
    from keras import losses

    outputs, labels = np.asarray(outputs), np.asarray(labels)
    units, are_classes = outputs.shape[-1], labels.dtype.kind in "iub"
    if units == 1 and are_classes:
        return losses.BinaryCrossentropy(from_logits=not _ends_in_sigmoid(model, key))
    if are_classes and labels.size == outputs[..., 0].size:
        _check_labels(name, units, int(labels.max(initial=0)))
        return losses.SparseCategoricalCrossentropy(from_logits=not are_probabilities(outputs))
    if labels.shape == outputs.shape and units > 1 and are_probabilities(labels):
        return losses.CategoricalCrossentropy(
            from_logits=not are_probabilities(outputs), label_smoothing=smoothing
        )
    if labels.shape == outputs.shape and labels.dtype.kind == "f":
        return losses.MeanSquaredError()
    raise RecipeError(
        f"{name} returned a model that is not compiled, and no loss follows from outputs of shape "
        f"{outputs.shape} and labels of shape {labels.shape}, {labels.dtype}; compile it in {name}"
    )


def _check_labels(name: str, units: int, largest: int) -> None:
    if largest >= units:
        raise RecipeError(
            f"{name} returned a model with {units:,} outputs, and there is a label {largest:,}; "
            "labels are counted from 0"
        )


def check_classes(name: str, units: int, classes: int) -> None:
    """Check that a classifier has an output for each class; one is enough for two.

    Raises:
        RecipeError: it has another number.
    """
    if units != classes and (units, classes) != (1, 2):
        raise RecipeError(
            f"{name} returned a model with {units:,} outputs, and the data has {classes:,} "
            "classes; build as many outputs as the argument classes says"
        )


def gives_logits(model: Any) -> bool | None:
    """Whether the outputs of a model are logits, not probabilities; None if nothing says it.

    A logit of 0.3 looks like a probability, but is one of more than a half.
    """
    loss = model.loss if model.compiled else None
    if isinstance(loss, str):  # which Keras calls with its defaults
        return False
    if (given := getattr(loss, "from_logits", None)) is not None:
        return bool(given)
    return {"linear": True, "sigmoid": False}.get(_last_activation(model, None))


def _ends_in_sigmoid(model: Any, key: str | None) -> bool:
    """Whether the layer behind an output applies a sigmoid."""
    return _last_activation(model, key) == "sigmoid"


def _last_activation(model: Any, key: str | None) -> str:
    """The name of the activation of the layer behind an output; empty if it has none."""
    layers = [layer for layer in model.layers if key in (None, layer.name)]
    layer = layers[-1] if layers else None
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))
