"""What the repeated batch of a ceiling changes is as before afterwards."""

import random

import keras
import numpy as np
import tensorflow as tf

from feedbench.bench.monitor.state import preserved


class Two(keras.Model):
    """A model with two optimizers and a count of its own, as its own train_step uses them."""

    def __init__(self):
        super().__init__()
        self.parts = [keras.layers.Dense(2), keras.layers.Dense(3)]
        for part in self.parts:
            part.build((None, 4))
        self.optimizers = {"first": keras.optimizers.Adam(), "second": keras.optimizers.Adam()}
        self.count = tf.Variable(5)

    def call(self, inputs):
        return [part(inputs) for part in self.parts]

    def step(self):
        for part, optimizer in zip(self.parts, self.optimizers.values(), strict=True):
            weights = part.trainable_variables
            optimizer.apply([keras.ops.ones_like(one) for one in weights], weights)
        self.count.assign_add(1)

    def state(self):
        kept = [one for each in self.optimizers.values() for one in each.variables]
        return [np.array(one) for one in (*self.get_weights(), *kept, self.count)]


def test_every_optimizer_that_a_model_holds_is_restored():
    model = Two()
    model.step()
    before = model.state()
    with preserved(model):
        model.step()
        assert not all(map(np.array_equal, before, model.state()))
    assert all(map(np.array_equal, before, model.state()))
    assert int(model.count) == 5 + 1


class Counting(keras.layers.Layer):
    """Counts its calls in a variable that Keras does not list."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(5)

    def call(self, inputs):
        self.calls.assign_add(1)
        return inputs


def test_what_layers_and_models_inside_a_model_hold_is_restored():
    critic = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    critic.compile("adam", "mse")
    counting = Counting()
    model = keras.Sequential([keras.Input((4,)), counting, critic])
    weights = critic.trainable_variables
    gradients = [keras.ops.ones_like(one) for one in weights]
    critic.optimizer.apply(gradients, weights)
    before = [np.array(one) for one in (*critic.optimizer.variables, counting.calls)]
    with preserved(model):
        critic.optimizer.apply(gradients, weights)
        model(np.zeros((1, 4), np.float32))
    after = [np.array(one) for one in (*critic.optimizer.variables, counting.calls)]
    assert all(map(np.array_equal, before, after))


def test_what_a_working_pipeline_has_drawn_is_not_drawn_again():
    model = Two()
    for draws in (True, False):
        before = np.random.get_state()[2], random.getstate()
        with preserved(model, draws=draws):
            np.random.random()
            random.random()
        assert ((np.random.get_state()[2], random.getstate()) == before) is draws
