"""What a training step changes, saved and restored bit by bit."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from feedbench.trainer import model_variables


@contextmanager
def preserved(model: Any, *, draws: bool = True) -> Iterator[None]:
    """Restore, after the body, all that steps of a Keras model change.

    These are weights, batch norm statistics, optimizers, metrics, seed generators, and the random
    states of Python, NumPy and Torch. They are kept on the host, so that the device needs no
    memory for a second copy. The values are read when the device has finished all earlier steps.

    Args:
        draws: whether to restore the random states of Python and NumPy too: not while a pipeline
            works, which may draw from them for batches that come later.
    """
    variables = _variables(model)
    values = [_value(variable) for variable in variables]
    buffers = [(buffer, buffer.detach().clone()) for buffer in _buffers(model)]
    random_states = [*(_host_states() if draws else ()), *_torch_states()]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        for buffer, value in buffers:
            buffer.copy_(value)
        for restore, state in random_states:
            restore(state)


def _variables(model: Any) -> list[Any]:
    found = [*model_variables(model), *_global_seeds()]
    return list({id(variable): variable for variable in found}.values())


def _global_seeds() -> list[Any]:
    """Return the state of the generator that Keras uses where a model names no seed, if it does."""
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute("global_seed_generator")
    return [] if generator is None else [generator.state]


def _value(variable: Any) -> Any:
    import keras

    raw = variable.value if isinstance(variable, keras.Variable) else variable
    return np.array(keras.ops.convert_to_numpy(raw))


def _buffers(model: Any) -> list[Any]:
    """Return what Torch modules inside the model keep beside their parameters."""
    if "torch" not in sys.modules or not hasattr(model, "buffers"):
        return []
    return list(model.buffers())


def _host_states() -> list[tuple[Any, Any]]:
    return [(random.setstate, random.getstate()), (np.random.set_state, np.random.get_state())]


def _torch_states() -> list[tuple[Any, Any]]:
    """Return the states from which steps under Torch draw."""
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    states = [(torch.set_rng_state, torch.get_rng_state())]
    if torch.cuda.is_available():
        states.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    return states
