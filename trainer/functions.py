"""The functions that run on the device: train, test and prediction step of a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from feedbench.trainer.augment import DRAW_COLUMNS
from feedbench.trainer.compiled import CompiledSteps
from feedbench.trainer.model_data import tensors
from feedbench.trainer.replicas import Replicas
from feedbench.trainer.tensors import as_tensor

StepFunction = Callable[..., Any]
Augmentation = Callable[[Any, Any], Any]  # images and draws → images


def step_functions(
    model: Any,
    image_dtype: str,
    class_weights: Sequence[float] | None,
    augment: Augmentation | None,
    steps: CompiledSteps,
    replicas: Replicas,
) -> tuple[StepFunction, StepFunction]:
    """Train and test step on images and integer labels, for the current Keras backend.

    With `augment`, the train step also takes the draws. `steps` are those of the model itself,
    which all backends but TensorFlow take.
    """
    import keras

    classes = model.output_shape[-1]

    def one_hot(labels: Any) -> Any:
        return keras.ops.one_hot(labels, classes)

    def sample_weights(labels: Any) -> tuple[Any, ...]:
        if class_weights is None:
            return ()
        return (keras.ops.take(keras.ops.convert_to_tensor(class_weights, "float32"), labels),)

    def augmented(images: Any, draws: Any) -> Any:
        return images if augment is None else augment(images, *draws)

    def train(images: Any, labels: Any, *draws: Any) -> Any:
        inputs = augmented(images, draws)
        return model.train_step((inputs, one_hot(labels), *sample_weights(labels)))

    def test(images: Any, labels: Any) -> Any:
        return model.test_step((images, one_hot(labels)))

    if keras.backend.backend() == "tensorflow":
        has_draws = augment is not None
        return (
            _graph(train, model, image_dtype, replicas, has_draws),
            _graph(test, model, image_dtype, replicas, alone=True),
        )

    def train_batch(images: Any, labels: Any, *draws: Any) -> Any:
        inputs, weights = augmented(tensors(images), draws), sample_weights(labels)
        return steps.train((inputs, one_hot(labels), *weights))

    def test_batch(images: Any, labels: Any) -> Any:
        return steps.test((tensors(images), one_hot(labels)))

    return train_batch, test_batch


def _graph(
    step: StepFunction,
    model: Any,
    image_dtype: str,
    replicas: Replicas,
    has_draws: bool = False,
    alone: bool = False,
) -> StepFunction:
    """The step as one TensorFlow graph for any batch size: a short batch needs no new trace.

    Args:
        alone: whether one of several processes takes the step without the others.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec(model.input_shape, image_dtype), tf.TensorSpec([None], tf.int32)]
    if has_draws:
        signature.append(tf.TensorSpec([None, DRAW_COLUMNS], tf.float32))
    whole = _on_all(step, model, replicas, alone)
    function = tf.function(whole, input_signature=signature, jit_compile=model.jit_compile or None)
    return lambda images, *rest: function(as_tensor(images), *rest)


def _on_all(step: StepFunction, model: Any, replicas: Replicas, alone: bool) -> StepFunction:
    """The step on all devices together, each with its part of the batch."""
    if replicas.total == 1:
        return step
    if alone and replicas.in_several_processes:
        return lambda *arrays: replicas.each(step, *arrays)[0]

    def on_all(*arrays: Any) -> Any:
        replicas.each(step, *arrays)  # returns what each device has counted alone
        replicas.spread_counts(model.metrics_variables)
        return model.get_metrics_result()

    return on_all


def prediction_function(model: Any, image_dtype: str, replicas: Replicas) -> Callable[[Any], Any]:
    """From images to class probabilities, for the current Keras backend."""
    import keras

    def predict(images: Any) -> Any:
        return model(images, training=False)

    if keras.backend.backend() != "tensorflow":
        return lambda images: keras.ops.convert_to_numpy(predict(np.asarray(images)))
    import tensorflow as tf

    def predict_parts(images: Any) -> Any:
        return tf.concat(replicas.each(predict, images), 0)

    signature = (tf.TensorSpec(model.input_shape, image_dtype),)
    whole = predict if replicas.total == 1 else predict_parts
    function = tf.function(whole, input_signature=signature)
    return lambda images: function(as_tensor(images))
