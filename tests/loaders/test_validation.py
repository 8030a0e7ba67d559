"""What is wrong with a value is one line in words of the field, never of pydantic."""

import pytest
from pydantic import ValidationError

from feedbench.bench.plan.plan import Suite
from feedbench.loaders import LOADERS, BatchSpec
from feedbench.loaders.validation import allowed, alternatives, bounds, explain

TF_DATA = LOADERS["tf_data"].settings
TRIAL = {"loader": "tf_data"}


def fault(model, values) -> str:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(values)
    return explain(raised.value, model)


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (BatchSpec, {"value_range": 5}, "value_range: must be two numbers or imagenet, got 5"),
        (BatchSpec, {"value_range": [1]}, "value_range: must be two numbers or imagenet, got [1]"),
        (BatchSpec, {"value_range": [1, 0]}, "value_range: low must be below high, got 1, 0"),
        (BatchSpec, {"batch_size": 0}, "batch_size: must be an integer of at least 1, got 0"),
        (BatchSpec, {"balance": 2}, "balance: must be a number from 0 to 1, got 2"),
        (
            BatchSpec,
            {"augment": {"zoom": [2, 1]}},
            "augment: zoom must be two factors above 0, the smaller first, got [2.0, 1.0]",
        ),
        (
            BatchSpec,
            {"augment": {"jpeg_quality": [0, 40]}},
            "augment.jpeg_quality: must be two integers from 1 to 100, got 0",
        ),
        (
            TF_DATA,
            {"prefetch": -1},
            "prefetch: must be an integer of at least 0 or autotune, got -1",
        ),
        (TF_DATA, {"cache": "ram"}, "cache: must be none, encoded, decoded or disk, got 'ram'"),
        (TF_DATA, {"deterministic": "x"}, "deterministic: must be true or false, got 'x'"),
        (
            TF_DATA,
            {"private_threads": 0},
            "private_threads: must be an integer of at least 1, got 0",
        ),
        (Suite, {}, "trial: field required"),
        (Suite, {"trial": 3}, "trial: must be a list of tables, got 3"),
        (Suite, {"trial": [{}]}, "trial.0.loader: field required"),
        (
            Suite,
            {"trial": [TRIAL], "timing": {"cache_state": "hot"}},
            "timing.cache_state: must be warm or cold, got 'hot'",
        ),
        (
            Suite,
            {"trial": [TRIAL], "consumer": "a100"},
            "consumer: must be train, drain or emulated:NAME, got 'a100'",
        ),
    ],
)
def test_a_fault_is_told_in_words_of_the_field(model, values, said):
    assert fault(model, values) == said


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (TF_DATA, {"prefetchh": 1}, "there is no 'prefetchh'; did you mean 'prefetch'? There are "),
        (
            BatchSpec,
            {"augment": {"rotate": 1}},
            "no 'augment.rotate'; did you mean 'rotation'? There are ",
        ),
        (
            Suite,
            {"trial": [{**TRIAL, "setings": {}}]},
            "no 'trial.0.setings'; did you mean 'settings'? There are ",
        ),
    ],
)
def test_an_unknown_name_lists_those_of_the_model_it_stands_in(model, values, said):
    assert said in fault(model, values)


def test_the_nearest_name_is_suggested_if_there_is_one():
    assert alternatives("tfdata", LOADERS).startswith("did you mean 'tf_data'? There are ")
    assert alternatives("x", ["one", "two"]) == "there are one, two"
    assert alternatives("x", []) == "there are none"
    assert alternatives("x", ["one"]) == "there is one"
    assert alternatives("ons", ["one"]) == "did you mean 'one'?"


def test_without_the_model_the_faults_place_is_still_named():
    with pytest.raises(ValidationError) as raised:
        Suite.model_validate({"trial": [{"loader": 3}]})
    assert explain(raised.value).startswith("trial.0.loader: ")


def test_bounds_and_words_are_those_of_the_field():
    fields = BatchSpec.model_fields
    assert bounds(fields["batch_size"]) == {"ge": 1}
    assert bounds(fields["seed"]) == {"ge": 0, "le": 2**32 - 1}
    assert allowed(fields["resize"]) == "stretch, crop or pad"
    assert allowed(fields["background"]) == "three integers from 0 to 255"
