"""The steps of a compiled Keras model, as its own `fit` takes them, under each Keras backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Data = tuple[Any, ...]  # inputs and targets, and sample weights if there are any


def compiled_steps(model: Any, *, any_size: bool = False) -> CompiledSteps:
    """The train and test steps of a compiled model, for the current Keras backend.

    Args:
        any_size: whether batches may differ in size.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow" and any_size and not model.run_eagerly:
        return AnySizeSteps(model)
    return JaxSteps(model) if backend == "jax" else CompiledSteps(model)


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


class AnySizeSteps(CompiledSteps):
    """Under TensorFlow, steps that are traced for batches of any size, as `fit` traces them.

    `fit` knows that its batches may differ in size before the first one comes. Traced for the size
    of the first one, a step would be traced again for a smaller one at the end of an epoch, and
    what is timed would not be the step of `fit`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._traced: dict[str, Callable[[Data], Any]] = {}

    def train(self, data: Data) -> Any:
        """Train on a batch, and return the logs, which the device may still be computing."""
        self._prepare(data)
        return self._step("train_function", data)(data)

    def test(self, data: Data) -> Any:
        """Add a batch to the running metrics, without training on it, and return the logs."""
        self._prepare(data)
        return self._step("test_function", data)(data)

    def _step(self, name: str, data: Data) -> Callable[[Data], Any]:
        if name not in self._traced:
            self._traced[name] = _for_any_size(getattr(self._model, name), data)
        return self._traced[name]


def _for_any_size(function: Callable[[Any], Any], data: Data) -> Callable[[Data], Any]:
    """A function of the model, traced for batches like this one, of any size."""
    import tensorflow as tf

    def step(batch: Data) -> Any:
        return function(iter([batch]))

    specs = tf.nest.map_structure(tf.type_spec_from_value, data)
    if not all(isinstance(one, tf.TensorSpec) and one.shape.rank for one in tf.nest.flatten(specs)):
        return step  # ragged or sparse: Keras decides
    any_size = tf.nest.map_structure(
        lambda one: tf.TensorSpec([None, *one.shape[1:]], one.dtype), specs
    )
    return tf.function(step, input_signature=[any_size], autograph=False)  # type: ignore[no-any-return]


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
