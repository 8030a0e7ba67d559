"""A predicted rate is shown during a training only if the training will be compared with it."""

from dataclasses import replace

import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.environment import environment, machine
from feedbench.bench.training.rate_check import Basis, applicable_rate
from feedbench.trainer import Epoch, Position, Recipe

RECIPE = Recipe(epochs=3)
EPOCH = Epoch(1, 8, 1.0, 0.0, 0.1, 1.0, 0.5, 1.0, 0.5)


@pytest.fixture(scope="module")
def facts():
    return environment()


@pytest.fixture
def best(facts):
    return Best(
        loader="turbo",
        recipe=RECIPE.model_dump(mode="json"),
        predicted={"images_per_second": {"value": 100.0, "low": 98.0, "high": 102.0}},
        consumer="train",
        machine=machine(facts),
    )


def test_it_is_shown_if_it_was_measured_with_this_training_on_this_machine(best, facts):
    assert applicable_rate(best, RECIPE, Basis(facts), Position()).value == 100


@pytest.mark.parametrize(
    ("changes", "recipe"),
    [
        ({"consumer": "emulated:a100"}, RECIPE),
        ({"machine": {"processor": "another", "cores": 64, "gpus": []}}, RECIPE),
        ({"rows": "of other images"}, RECIPE),
        ({"predicted": None}, RECIPE),
        ({}, RECIPE.model_copy(update={"alpha": 0.35})),
        ({}, RECIPE.model_copy(update={"epochs": 1})),
    ],
    ids=[
        "emulated",
        "another machine",
        "other data",
        "nothing predicted",
        "another network",
        "one epoch",
    ],
)
def test_it_is_not_shown_if_nothing_can_be_compared(best, facts, changes, recipe):
    basis = Basis(facts, rows="of these images")
    assert applicable_rate(best.model_copy(update=changes), recipe, basis, Position()) is None


def test_it_is_not_shown_to_several_machines(best, facts):
    assert applicable_rate(best, RECIPE, Basis(facts), Position(), machines=2) is None


@pytest.mark.parametrize(
    ("warm_ups", "is_shown"),
    [([True, False], True), ([True, True], False), ([True], True), ([True, False, True], True)],
    ids=["one counts", "none counts", "one is left", "complete"],
)
def test_it_is_not_shown_if_no_epoch_of_a_resumed_training_will_count(
    best, facts, warm_ups, is_shown
):
    """The epoch in which a training is resumed includes a warm-up."""
    history = tuple(replace(EPOCH, first_of_process=one) for one in warm_ups)
    position = Position(epoch=len(history) + 1, history=history)
    assert (applicable_rate(best, RECIPE, Basis(facts), position) is not None) == is_shown
