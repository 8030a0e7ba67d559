"""A plan is what was asked for, or one line that says what is wrong with it."""

import pytest

from bench.errors import PlanError
from bench.plan import Choice, expand, make_plan, parse_set, read_suite, with_ceiling
from bench.suites import SUITES, named_suite
from loaders import LoaderError, scan


def test_lists_expand_into_every_combination_once():
    grid = Choice(loader="tf_data", settings={"prefetch": [0, 4], "num_parallel_calls": [1, 2]})
    again = Choice(loader="tf_data", settings={"prefetch": 0, "num_parallel_calls": 1})
    expanded = expand([grid, again])
    assert [str(choice) for choice in expanded] == [
        "tf_data prefetch=0 num_parallel_calls=1",
        "tf_data prefetch=0 num_parallel_calls=2",
        "tf_data prefetch=4 num_parallel_calls=1",
        "tf_data prefetch=4 num_parallel_calls=2",
    ]


def test_the_ceiling_of_a_trainer_is_always_measured():
    one = (Choice(loader="tf_data"),)
    assert [choice.loader for choice in with_ceiling(one, "train")] == ["tf_data", "synthetic"]
    assert with_ceiling(one, "drain") == one
    own = (Choice(loader="synthetic", settings={"output": "float32"}),)
    assert with_ceiling(own, "train") == own


def test_set_reads_numbers_words_truth_and_lists():
    given = parse_set(
        [
            "tf_data.prefetch=4",
            "tf_data.cache=none,disk",
            "tf_data.deterministic=false",
            "keras_pil.workers=0,2",
        ]
    )
    assert given == {
        "tf_data": {"prefetch": 4, "cache": ["none", "disk"], "deterministic": False},
        "keras_pil": {"workers": [0, 2]},
    }


@pytest.mark.parametrize("option", ["prefetch=4", "tf_data.prefetch", "tf_data.=4", "="])
def test_a_malformed_set_is_named(option):
    with pytest.raises(PlanError, match=r"LOADER\.NAME=VALUE"):
        parse_set([option])


def test_a_suite_file_is_a_plan(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("""
        consumer = "drain"
        timing = {blocks = 7}
        spec = {batch_size = 16, resize = "crop"}
        recipe = {alpha = 0.35}
        [[trial]]
        loader = "tf_data"
        settings = {prefetch = [0, "autotune"], cache = "decoded"}
        [[trial]]
        loader = "keras_pil"
    """)
    plan = make_plan(read_suite(path))
    assert [str(choice) for choice in plan.choices] == [
        "tf_data prefetch=0 cache=decoded",
        "tf_data prefetch=autotune cache=decoded",
        "keras_pil",
    ]
    assert plan.timing.blocks == 7
    assert plan.spec.resize == "crop"
    assert plan.recipe.alpha == 0.35


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("=", "not TOML"),
        ("", "trial: field required"),
        ("trial = []", "trial: "),
        ("[[trial]]\nloader = 'tf_data'\nsetings = {}", "no 'trial.0.setings'"),
        ("consumer = 'x'\n[[trial]]\nloader = 'tf_data'", "consumer: "),
    ],
)
def test_a_fault_in_a_suite_file_is_named(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(PlanError, match=said) as raised:
        read_suite(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", SUITES)
def test_a_built_in_suite_can_be_opened(name, tiny_photos):
    plan = make_plan(named_suite(name, None, {}, scan(tiny_photos)))
    assert len(plan.choices) > 3
    assert plan.choices[-1].loader == "synthetic"


def test_a_setting_of_a_loader_that_is_not_tried_is_refused(tiny_photos):
    with pytest.raises(PlanError, match="no trial of keras_pil"):
        named_suite(None, ["tf_data"], {"keras_pil": {"workers": 2}}, scan(tiny_photos))


def test_an_unknown_loader_in_a_suite_is_refused_before_anything_runs():
    with pytest.raises(LoaderError, match="no loader 'torch'"):
        expand([Choice(loader="torch")])
