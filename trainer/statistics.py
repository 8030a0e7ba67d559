"""Batch normalization of several devices, by the mean and the variance of the whole batch."""

from __future__ import annotations

from functools import partial
from typing import Any


def synchronize(network: Any) -> None:
    """Have all batch normalization of a network use the statistics of all devices.

    Not by Keras' own `synchronized=True`: it takes the mean of the squares less the square of the
    mean, which cancels in float32, and the saved model would tell how it was trained.
    """
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer._moments = partial(_moments, layer)  # noqa: SLF001  the only place to do it


def _moments(layer: Any, inputs: Any, mask: Any) -> tuple[Any, Any]:
    """Mean and variance of each channel over the whole batch, as Keras' method of this name."""
    import tensorflow as tf

    assert mask is None, "images have none"
    axes = [axis for axis in range(inputs.shape.rank) if axis != layer.axis % inputs.shape.rank]
    context = tf.distribute.get_replica_context()
    if context is None:  # the network is built, not run
        mean, variance = tf.nn.moments(inputs, axes)
        return mean, variance
    count = tf.cast(tf.size(inputs), inputs.dtype) / inputs.shape[layer.axis]
    total, images = context.all_reduce("SUM", [tf.reduce_sum(inputs, axes), count])
    mean = total / images
    # The mean is that for which the gradient of this sum is zero, so none need be computed.
    shape = [1 if axis in axes else -1 for axis in range(inputs.shape.rank)]
    apart = tf.math.squared_difference(inputs, tf.stop_gradient(tf.reshape(mean, shape)))
    return mean, context.all_reduce("SUM", tf.reduce_sum(apart, axes)) / images
