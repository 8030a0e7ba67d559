"""The networks of keras.applications are known before Keras is imported."""

import inspect
import subprocess
import sys

import pytest

from feedbench.trainer import Recipe, RecipeError, check_network
from feedbench.trainer.model import construct
from feedbench.trainer.network_source import named_networks, network_facts
from feedbench.trainer.networks import constructors

_PIXELS = ([1.0] * 3, [0.0] * 3)
_UNIT = ([1 / 255] * 3, [0.0] * 3)


def test_the_names_are_those_of_the_constructors():
    built_in = {
        name
        for name, constructor in constructors().items()
        if constructor.__module__.startswith("keras.")
    }
    assert set(named_networks()) == built_in


def test_an_unknown_name_is_refused_without_importing_keras():
    code = """
import sys
from feedbench.trainer import Recipe, RecipeError, check_network
pixels = [1.0] * 3, [0.0] * 3
check_network(Recipe(network="ResNet50"), 224, *pixels)
try:
    check_network(Recipe(network="ResNet"), 224, *pixels)
except RecipeError as error:
    print(error)
assert not {"keras", "tensorflow"} & set(sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.startswith(
        "network: keras.applications has no 'ResNet'; did you mean 'ResNet"
    )
    assert "MobileNetV2, " in ran.stdout


def test_nothing_is_refused_if_the_source_names_no_networks(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("feedbench.trainer.network_source.find_spec", lambda name: None)
        patch.delitem(sys.modules, "keras", raising=False)
        check_network(Recipe(network="ResNet", alpha=0.5), 1, *_UNIT)
    with pytest.raises(RecipeError):
        check_network(Recipe(network="ResNet"), 224, *_UNIT)


@pytest.mark.parametrize("name", named_networks())
def test_the_source_says_what_keras_takes(name):
    facts = network_facts(name)
    assert facts is not None
    assert facts.has_alpha == ("alpha" in inspect.signature(constructors()[name]).parameters)
    too_small = facts.least_side - 1
    with pytest.raises(ValueError, match=r"32|71|75"):  # else Keras builds the network
        construct(Recipe(network=name), too_small, weights=None, classes=2)
    with pytest.raises(RecipeError, match=f"at least {facts.least_side} px, got {too_small}"):
        check_network(Recipe(network=name), too_small, *_PIXELS)
    check_network(Recipe(network=name), facts.least_side, *_PIXELS)


def test_a_width_that_a_network_does_not_have_is_refused():
    with pytest.raises(RecipeError, match=r"alpha: ResNet50 has none, got 0\.5"):
        check_network(Recipe(network="ResNet50", alpha=0.5), 224, *_UNIT)
    check_network(Recipe(network="MobileNet", alpha=0.5), 224, *_UNIT)


def test_a_value_range_is_refused_for_a_network_that_has_its_own():
    with pytest.raises(RecipeError, match="use --value-range 0,255"):
        check_network(Recipe(network="EfficientNetB0"), 224, *_UNIT)
    check_network(Recipe(network="EfficientNetB0"), 224, *_PIXELS)
    check_network(Recipe(network="EfficientNetV2B0"), 224, *_UNIT)
