"""Made-up batches for a user's own model that takes more than images, to time its steps alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.trainer.base import BatchLike
from feedbench.trainer.compiled import Data
from feedbench.trainer.errors import RecipeError
from feedbench.trainer.model_data import OwnBatches, tensors
from feedbench.trainer.model_inputs import declared_inputs, structure
from feedbench.trainer.model_targets import label_form


class MadeUpBatches(OwnBatches):
    """Gives one made-up batch again and again, whatever the loader gives."""

    def __init__(self, inputs: Any, targets: Any) -> None:
        self._inputs, self._targets = tensors(inputs), tensors(targets)

    def train(self, batch: BatchLike) -> Data:
        """The made-up batch."""
        return self._inputs, self._targets

    def inputs(self, batch: BatchLike) -> Any:
        """Its inputs alone."""
        return self._inputs


def made_up(model: Any, name: str, batch_size: int, side: int) -> tuple[Any, Any]:
    """Inputs of ones and targets of zeros, in the structure that a model declares.

    Args:
        side: stands for each length that the model leaves open.

    Raises:
        RecipeError: the model does not say what it takes until it is called.
    """
    if declared_inputs(model) is None:
        raise RecipeError(
            f"{name} returned a model that does not say what it takes; give it a keras.Input, or "
            "bench it with a loader of your own"
        )
    import keras

    def ones(tensor: Any) -> NDArray[Any]:
        shape = [batch_size, *(side if size is None else size for size in tensor.shape[1:])]
        return np.ones(shape, keras.backend.standardize_dtype(tensor.dtype))

    inputs = keras.tree.map_structure(ones, structure(model, "inputs"))
    return inputs, _targets(model, batch_size)


def _targets(model: Any, batch_size: int) -> Any:
    outputs, losses = structure(model, "outputs"), model.loss if model.compiled else None
    if isinstance(outputs, dict):
        by_name = losses if isinstance(losses, dict) else dict.fromkeys(outputs, losses)
        return {key: _zeros(one, by_name.get(key), batch_size) for key, one in outputs.items()}
    if isinstance(outputs, list | tuple):
        if isinstance(losses, dict):
            losses = [losses.get(key) for key in model.output_names]
        in_order = losses if isinstance(losses, list | tuple) else [losses] * len(outputs)
        return [_zeros(*pair, batch_size) for pair in zip(outputs, in_order, strict=True)]
    return _zeros(outputs, losses, batch_size)


def _zeros(output: Any, loss: Any, batch_size: int) -> NDArray[Any]:
    """Targets of one output: class 0 where indices are wanted, else zeros of its shape."""
    shape = [batch_size, *(size or 1 for size in output.shape[1:])]
    if label_form(loss, shape[-1]) == "index" and shape[-1] > 1:
        return np.zeros(shape[:-1], np.int32)
    zeros = np.zeros(shape, np.float32)
    if shape[-1] > 1:
        zeros[..., 0] = 1
    return zeros
