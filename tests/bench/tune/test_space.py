"""Configurations that differ in their settings."""

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.space import (
    alternatives,
    combine_ties,
    grid_size,
    pixel_choices,
    replace_settings,
    setting_value,
    transfer_settings,
)
from feedbench.loaders import LOADERS, contract

TURBO = Choice(loader="turbo")


def test_alternatives_differ_in_one_setting_and_omit_defaults():
    others = alternatives(Choice(loader="turbo", settings={"prefetch": 0}), "prefetch")
    assert [choice.settings for choice in others] == [{}, {"prefetch": 4}]


@pytest.mark.parametrize(
    ("cores", "turbo", "keras_pil"),
    [(1, [2], [0, 2]), (2, [1, 4], [0, 2, 4]), (64, [16, 32, 128], [0, 16, 32, 64, 128])],
)
def test_numbers_of_threads_follow_the_usable_cores(monkeypatch, cores, turbo, keras_pil):
    monkeypatch.setattr(contract, "usable_cores", lambda: cores)
    tried = [choice.settings["num_threads"] for choice in alternatives(TURBO, "num_threads")]
    assert tried == turbo
    assert list(LOADERS["keras_pil"].values("workers")) == keras_pil
    assert LOADERS["tf_data"].values("private_threads") == (None, cores)


def test_settings_that_the_loader_refuses_give_no_choice():
    assert replace_settings(Choice(loader="keras_pil"), {"workers": 1}) is None


def test_the_value_of_a_setting_is_its_default_unless_given():
    assert setting_value(TURBO, "cache") == "none"
    assert setting_value(Choice(loader="turbo", settings={"cache": "disk"}), "cache") == "disk"


def test_other_loaders_take_the_settings_that_they_share():
    winner = Choice(loader="turbo", settings={"cache": "decoded", "num_threads": 4})
    transferred = transfer_settings(winner, [Choice(loader="tf_data"), Choice(loader="keras_pil")])
    assert transferred == [Choice(loader="tf_data", settings={"cache": "decoded"})]


def tie(ratio, **settings):
    (name,) = settings
    choice = Choice(loader="turbo", settings=settings)
    estimate = Estimate(value=ratio, low=ratio - 0.1, high=ratio + 0.1)
    return Finding(choice=choice, against=TURBO, setting=name, outcome="tie", ratio=estimate)


def test_ties_that_looked_faster_are_combined_with_the_best_value_of_each_setting():
    ties = [tie(1.03, num_threads=1), tie(1.01, num_threads=4), tie(1.02, prefetch=0)]
    assert combine_ties(TURBO, ties).settings == {"num_threads": 1, "prefetch": 0}
    assert combine_ties(TURBO, ties[:2]) is None
    assert combine_ties(TURBO, [*ties[:2], tie(0.99, prefetch=0)]) is None


def test_the_grid_multiplies_the_values_of_each_loader_and_adds_the_loaders():
    sizes = {name: grid_size([name]) for name in ("turbo", "tf_data")}
    assert grid_size(["turbo", "tf_data"]) == sum(sizes.values())
    expected = 1
    for name in LOADERS["turbo"].space:
        expected *= len(LOADERS["turbo"].values(name))
    assert sizes["turbo"] == expected


def test_pixels_are_compared_for_every_way_of_decoding():
    assert pixel_choices([TURBO]) == [TURBO, Choice(loader="turbo", settings={"decode": "scaled"})]
