"""The recipe: invalid values are refused, and each field has its effect on the training."""

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from feedbench.trainer import Recipe
from feedbench.trainer.errors import RecipeError
from feedbench.trainer.model import build_network, check_range, set_trainable, with_range
from feedbench.trainer.optimizer import compile_for, undecayed
from feedbench.trainer.schedule import make_schedule

SMALL = {"alpha": 0.35, "epochs": 10, "warm_up_epochs": 0}


def rates(steps, **values) -> list[float]:
    """Learning rates of a run of 10 epochs, 10 steps each, whose peak is 1."""
    recipe = Recipe(**{**SMALL, "base_learning_rate": 2, **values})
    schedule = make_schedule(recipe, recipe.phases[0], 128, 1280)
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
    ("values", "steps", "expected"),
    [
        ({"schedule": "constant"}, [0, 50, 99], [1, 1, 1]),
        ({"schedule": "cosine"}, [0, 50, 100], [1, 0.5, 0]),
        ({"schedule": "steps"}, [0, 49, 50, 74, 75, 99], [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ({"schedule": "exponential", "rate_decay": 0.5}, [0, 10, 25], [1, 0.5, 0.5**2.5]),
        (
            {"schedule": "constant", "warm_up_epochs": 2},
            [0, 5, 10, 20, 21],
            [1 / 21, 6 / 21, 11 / 21, 1, 1],
        ),
        ({"schedule": "steps", "warm_up_epochs": 2}, [10, 20, 49, 50], [11 / 21, 1, 1, 0.1]),
        ({"schedule": "constant", "linear_scaling": False}, [0], [2]),
    ],
)
def test_each_schedule_has_its_learning_rates(values, steps, expected):
    assert rates(steps, **values) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "lion"}, "optimizer"),
        ({"schedule": "linear"}, "schedule"),
        ({"rate_steps": [0.5, 1.5]}, "between 0 and 1"),
        ({"weights": "imagenet", "frozen_epochs": 41}, "at most the 40 epochs"),
        ({"frozen_epochs": 1}, "need weights"),
        ({"fine_tune_layers": 5}, "need weights"),
        ({"gradient_clip_norm": -1}, "gradient_clip_norm"),
    ],
)
def test_an_invalid_field_is_named(values, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(**values)


def test_adaptive_optimizers_have_another_default_learning_rate():
    assert Recipe(optimizer="adam").base_learning_rate == 0.001
    assert Recipe(optimizer="adam", base_learning_rate=0.1).base_learning_rate == 0.1
    assert Recipe(optimizer="sgd").base_learning_rate == Recipe().base_learning_rate == 0.4


def test_every_field_has_a_description():
    assert all(len(field.description) > 15 for field in Recipe.model_fields.values())


def test_too_few_steps_for_batch_norm_momentum_give_a_warning():
    assert Recipe(epochs=10).warnings(batch_size=10, images=100) == []
    (line,) = Recipe(epochs=10, batch_norm_momentum=0.999).warnings(10, 100)
    assert "0.999" in line
    assert "10,000 steps" in line
    assert "has 100" in line
    assert "--epochs" in line
    assert "the file of --recipe" in line
    assert line.endswith("(docs/training.md, Batch normalization)")


def test_a_batch_that_is_refused_gives_no_warning_about_its_steps():
    assert Recipe(epochs=10).warnings(batch_size=101, images=100) == []
    assert len(Recipe(epochs=10).warnings(batch_size=100, images=100)) == 1


@pytest.mark.parametrize(
    ("values", "side", "message"),
    [
        ({"network": "MobileNetV9"}, 32, "MobileNetV2"),
        ({"network": "DenseNet121", "alpha": 0.5}, 32, "alpha: DenseNet121 has none"),
        ({"network": "Xception"}, 32, "at least 71x71"),
    ],
)
def test_a_network_that_cannot_be_built_is_named(values, side, message):
    with pytest.raises(ValueError, match=message):
        build_network(Recipe(**values), side, 3)


def test_probabilities_are_float32_with_mixed_precision_too():
    recipe = Recipe(network="MobileNetV3Small", mixed_precision="bfloat16")
    network = build_network(recipe, 32, 3)
    assert network.layers[3].compute_dtype == "bfloat16"
    probabilities = np.asarray(network(np.zeros((1, 32, 32, 3), np.float32)))
    assert probabilities.dtype == np.float32
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert keras.config.dtype_policy().name == "float32"
    assert not any(isinstance(layer, keras.layers.Rescaling) for layer in network.layers)


def test_a_value_range_is_refused_for_a_network_that_has_one():
    layers = [keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255)]
    network = keras.Sequential(layers)
    with pytest.raises(RecipeError, match="has its own value range"):
        check_range(network, Recipe(), [1 / 255] * 3, [0.0] * 3)
    check_range(network, Recipe(), [1.0] * 3, [0.0] * 3)


def test_a_value_range_may_differ_between_channels():
    layers = [keras.Input((1, 1, 3)), keras.layers.Flatten()]
    scale, offset = np.array([0.01, 0.02, 0.03]), np.array([-1, 0, 1])
    model = with_range(keras.Sequential(layers), scale.tolist(), offset.tolist(), "uint8")
    pixels = np.array([[[[255, 0, 51]]]], np.uint8)
    expected = np.array([255, 0, 51]) * scale + offset
    assert np.asarray(model(pixels))[0] == pytest.approx(expected, abs=1e-5)
    copy = keras.Model.from_config(model.get_config())
    assert np.asarray(copy(pixels))[0] == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def network():
    return build_network(Recipe(**SMALL), 32, 3)


def compiled(network, **values):
    recipe = Recipe(**{**SMALL, **values})
    set_trainable(network, recipe, recipe.phases[0])
    compile_for(network, recipe, recipe.phases[0], 8, 80)
    return network.optimizer


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, keras.optimizers.SGD),
        ({"optimizer": "adam"}, keras.optimizers.Adam),
        ({"optimizer": "rmsprop"}, keras.optimizers.RMSprop),
        ({"mixed_precision": "float16"}, keras.optimizers.LossScaleOptimizer),
    ],
)
def test_the_optimizer_has_the_recipes_values(network, values, kind):
    optimizer = compiled(network, gradient_clip_norm=2, momentum=0.8, **values)
    assert isinstance(optimizer, kind)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    assert inner.global_clipnorm == 2
    assert getattr(inner, "momentum", 0.8) == 0.8
    assert inner.built


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_labels_are_smoothed_as_the_recipe_says(network, smoothing):
    compiled(network, label_smoothing=smoothing)
    label, predicted = np.float32([[1, 0, 0]]), np.float32([[0.7, 0.2, 0.1]])
    target = (1 - smoothing) * label + smoothing / 3
    loss = float(network.compute_loss(y=label, y_pred=predicted))
    assert loss == pytest.approx(-(target * np.log(predicted)).sum(), rel=1e-5)


def test_weight_decay_leaves_biases_and_batch_normalization_alone(network):
    optimizer = compiled(network, weight_decay=0.1)
    exempt = {id(weight) for weight in undecayed(network)}
    decayed = [w for w in network.trainable_variables if optimizer._use_weight_decay(w)]
    assert {len(weight.shape) for weight in decayed} == {2, 4}
    assert len(decayed) == 53
    assert not exempt & {id(weight) for weight in decayed}
    assert len(exempt) + len(decayed) == len(network.trainable_variables)
    before = [np.array(weight) for weight in network.trainable_variables]
    zeros = [np.zeros(weight.shape, np.float32) for weight in network.trainable_variables]
    optimizer.apply(zeros, network.trainable_variables)
    rate = 0.4 * 8 / 256
    for weight, was in zip(network.trainable_variables, before, strict=True):
        expected = was if id(weight) in exempt else was * (1 - 0.1 * rate)
        assert np.allclose(weight, expected, rtol=1e-5, atol=1e-8)


def test_the_phases_of_a_fine_tuning_freeze_and_unfreeze_layers(network):
    recipe = Recipe(**SMALL, weights="x.keras", frozen_epochs=3, fine_tune_layers=20)
    head, rest = recipe.phases
    assert (head.epochs, rest.before, rest.epochs) == (3, 3, 7)
    assert rest.base_learning_rate == pytest.approx(0.04)
    set_trainable(network, recipe, head)
    assert {weight.path for weight in network.trainable_variables} == {
        "predictions/kernel",
        "predictions/bias",
    }
    set_trainable(network, recipe, rest)
    trainable = [layer.name for layer in network.layers if layer.trainable and layer.weights]
    assert 1 < len(trainable) < 20
    assert not any("BN" in name or "bn" in name for name in trainable)
    with_batch_norm = recipe.model_copy(update={"fine_tune_batch_norm": True})
    set_trainable(network, with_batch_norm, rest)
    assert len([layer for layer in network.layers if layer.trainable and layer.weights]) == 20
    set_trainable(network, Recipe(**SMALL), Recipe(**SMALL).phases[0])
    assert all(layer.trainable for layer in network.layers)
