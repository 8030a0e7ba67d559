"""The steps of a compiled Keras model, as its own `fit` takes them, under each Keras backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Data = tuple[Any, ...]  # inputs and targets, and sample weights if there are any


def compiled_steps(model: Any) -> CompiledSteps:
    """The train and test steps of a compiled model, for the current Keras backend."""
    import keras

    kind = JaxSteps if keras.backend.backend() == "jax" else CompiledSteps
    return kind(model)


class CompiledSteps:
    """Calls Keras' own train and test function: `train_step`, `jit_compile` and the rest apply.

    `fit` itself would wait for the device after each batch that is handed to it alone.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._ready = False

    def train(self, data: Data) -> Any:
        """Train on a batch, and return the logs, which the device may still be computing."""
        self._prepare(data)
        return self._model.train_function(self._one(data))

    def test(self, data: Data) -> Any:
        """Add a batch to the running metrics, without training on it, and return the logs."""
        self._prepare(data)
        return self._model.test_function(self._one(data))

    def settle(self) -> None:
        """Bring the variables of the model up to date, before they are read or changed."""

    @staticmethod
    def _one(data: Data) -> Any:
        """A single batch, in the form in which `fit` passes batches on."""
        import keras

        return [data] if keras.backend.backend() == "torch" else iter([data])

    def _prepare(self, data: Data) -> None:
        """Build what `fit` builds before its first step."""
        if self._ready:
            return
        import keras

        model, own = self._model, type(self._model).train_step is not keras.Model.train_step
        # Keras builds models under TensorFlow in the first step, since their train_step may need
        # no call; all other models are then traced once instead of twice.
        if keras.backend.backend() != "tensorflow" or not own:
            model._symbolic_build(data_batch=data)
        model.make_train_function()
        model.make_test_function()
        self._ready = True


class JaxSteps(CompiledSteps):
    """Under JAX a step takes the state and returns the next; the variables follow when asked."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._state: tuple[list[Any], ...] | None = None

    def train(self, data: Data) -> Any:
        """Train on a batch, and return the logs, which the device may still be computing."""
        self._prepare(data)
        state = self._state or _values(self._groups())
        logs, self._state = self._model.train_function(state, self._one(data))
        return logs

    def test(self, data: Data) -> Any:
        """Add a batch to the running metrics, without training on it, and return the logs."""
        self._prepare(data)
        self.settle()
        trained, others, _, metrics = self._groups()
        groups = (trained, others, metrics)
        logs, values = self._model.test_function(_values(groups), self._one(data))
        _assign(groups, values)
        return logs

    def settle(self) -> None:
        """Bring the variables of the model up to date, before they are read or changed."""
        if self._state is not None:
            _assign(self._groups(), self._state)
            self._state = None

    def _groups(self) -> tuple[list[Any], ...]:
        model = self._model
        optimizer = [] if model.optimizer is None else model.optimizer.variables
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer,
            model.metrics_variables,
        )


def _values(groups: Sequence[list[Any]]) -> tuple[list[Any], ...]:
    return tuple([variable.value for variable in group] for group in groups)


def _assign(groups: Sequence[list[Any]], values: Sequence[list[Any]]) -> None:
    for group, group_values in zip(groups, values, strict=True):
        for variable, value in zip(group, group_values, strict=True):
            variable.assign(value)
