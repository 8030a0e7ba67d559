"""What the repeated batch of a ceiling changes is as before afterwards."""

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
