"""The learning rate as a Keras schedule: inside a graph, and saved with a model."""

import keras
import pytest
import tensorflow as tf

from feedbench.trainer import Recipe
from feedbench.trainer.schedule import make_schedule

STEPS = [0, 3, 10, 11, 47, 99]


def schedule(**values):
    """Of 10 epochs with 10 steps each, the first of them a warm-up, and a peak of 1."""
    recipe = Recipe(epochs=10, base_learning_rate=1, linear_scaling=False, **values)
    return make_schedule(recipe, recipe.phases[0], batch_size=8, images=80)


@pytest.mark.parametrize("kind", ["cosine", "steps", "exponential", "constant"])
def test_a_graph_gets_the_same_rates_as_eager_code(kind):
    rates = schedule(schedule=kind)
    in_graph = tf.function(rates, input_signature=[tf.TensorSpec([], tf.int64)])
    assert [float(in_graph(step)) for step in STEPS] == pytest.approx(
        [float(rates(step)) for step in STEPS]
    )


def test_the_rate_stays_at_zero_after_the_last_step():
    rates = schedule()
    assert float(rates(100)) == pytest.approx(0, abs=1e-7)
    assert float(rates(150)) == pytest.approx(0, abs=1e-7)


def test_the_phase_of_a_fine_tuning_has_a_schedule_of_its_own_length():
    recipe = Recipe(
        epochs=10,
        weights="x.keras",
        frozen_epochs=6,
        linear_scaling=False,
        fine_tune_learning_rate=0.1,
        warm_up_epochs=0,
    )
    head, rest = (make_schedule(recipe, phase, 8, 80) for phase in recipe.phases)
    assert float(head(60)) == pytest.approx(0, abs=1e-7)
    assert float(rest(0)) == pytest.approx(0.1)
    assert float(rest(20)) == pytest.approx(0.05)


def test_a_schedule_survives_its_config():
    rates = schedule(schedule="steps")
    optimizer = keras.optimizers.SGD(learning_rate=rates)
    copy = type(rates).from_config(rates.get_config())
    assert float(copy(60)) == float(rates(60)) == pytest.approx(0.1)
    assert float(optimizer.learning_rate) == pytest.approx(1 / 11)  # the first of 10 steps
