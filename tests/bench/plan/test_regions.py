"""Random-resized crops in a plan: who cannot cut them is left out, or refused."""

import pytest

from feedbench.bench.analysis.augment_costs import single_augmentations
from feedbench.bench.plan.plan import Choice, Suite, make_plan
from feedbench.bench.plan.suites import built_in_trials, without_refused
from feedbench.loaders import Augment, SpecError, scan

SPEC = {"augment": {"random_resized_crop": [0.08, 1], "aspect_ratio": [0.5, 2], "rotation": 10}}


@pytest.mark.parametrize("name", ["quick", "standard"])
def test_a_built_in_suite_leaves_out_what_cannot_cut_regions(splits_folder, name):
    trials = built_in_trials(name, scan(splits_folder))
    suite, refused = without_refused(Suite(trial=list(trials), spec=SPEC))
    left_out = set(map(str, refused))
    assert {"keras_directory", "tf_data cache=decoded", "turbo cache=decoded"} <= left_out
    assert {choice.loader for choice in make_plan(suite).choices} == {
        "keras_pil", "tf_data", "turbo", "synthetic",
    }  # fmt: skip
    whole = Suite(trial=list(trials))
    assert without_refused(whole)[1] == []


@pytest.mark.parametrize(
    ("loader", "settings"), [("keras_directory", {}), ("turbo", {"cache": ["none", "decoded"]})]
)
def test_a_loader_that_is_named_is_refused(loader, settings):
    choice = Choice(loader=loader, settings=settings)
    with pytest.raises(SpecError, match=f"{loader} cannot cut random-resized crops: "):
        make_plan(Suite(trial=[choice], spec=SPEC))
    make_plan(Suite(trial=[choice]))


def test_the_cost_of_a_crop_is_measured_with_its_aspect_ratio():
    assert list(single_augmentations(Augment.model_validate(SPEC["augment"]))) == [
        {"random_resized_crop": [0.08, 1.0], "aspect_ratio": [0.5, 2.0]},
        {"rotation": 10.0},
    ]
