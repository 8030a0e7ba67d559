"""The networks of keras.applications are known before Keras is imported."""

import subprocess
import sys

import pytest

from feedbench.trainer import RecipeError, check_network
from feedbench.trainer.networks import constructors, named_networks


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
from feedbench.trainer import RecipeError, check_network
check_network("ResNet50")
try:
    check_network("ResNet")
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
        patch.setattr("feedbench.trainer.networks.find_spec", lambda name: None)
        patch.delitem(sys.modules, "keras", raising=False)
        check_network("ResNet")
    with pytest.raises(RecipeError):
        check_network("ResNet")
