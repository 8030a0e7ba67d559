"""Suites and options become a validated plan, or an error of one line."""

import pytest

from feedbench.bench.analysis.augment_costs import augment_costs, with_augment_trials
from feedbench.bench.analysis.summary import summarize
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import (
    Choice,
    expand,
    make_plan,
    merged_spec,
    read_suite,
    with_baseline,
)
from feedbench.bench.plan.suites import SUITES, select_suite
from feedbench.loaders import Augment, LoaderError, scan
from feedbench.trainer import Recipe


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


def test_synthetic_is_added_unless_present_or_the_consumer_is_drain():
    choices = (Choice(loader="tf_data"),)
    assert [choice.loader for choice in with_baseline(choices, "train")] == [
        "tf_data",
        "synthetic",
    ]
    assert with_baseline(choices, "drain") == choices
    synthetic = (Choice(loader="synthetic", settings={"output": "float32"}),)
    assert with_baseline(synthetic, "train") == synthetic


def test_the_ceiling_of_an_own_model_has_the_batches_of_own_loaders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "feed.py").write_text("def make(workers=1): ...")
    recipe, own = Recipe(network="model.py:build"), Choice(loader="feed.py:make")
    chosen = Choice(loader="feed.py:make", settings={"workers": 2})

    def settings(*choices, recipe=recipe):
        return with_baseline(choices, "train", recipe)[-1].settings

    assert settings(own) == {"like": "feed.py:make"}
    assert settings(chosen) == {"like": "feed.py:make", "like_settings": {"workers": 2}}
    assert settings(own, Choice(loader="tf_data")) == {}
    assert settings(own, recipe=Recipe()) == {}


def test_a_suite_file_becomes_a_plan(tmp_path):
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
    ("text", "message"),
    [
        ("=", "not TOML"),
        ("", "trial: field required"),
        ("trial = []", "trial: "),
        ("[[trial]]\nloader = 'tf_data'\nsetings = {}", "no 'trial.0.setings'"),
        ("consumer = 'x'\n[[trial]]\nloader = 'tf_data'", "consumer: "),
        ("recipe = {epoch = 3}\n[[trial]]\nloader = 'tf_data'", "recipe: there is no 'epoch'"),
        ("spec = {image_size = 0}\n[[trial]]\nloader = 'tf_data'", "spec: image_size: must be"),
        ("[[trial]]\nloader = 'tf_data'\nsettings = {prefech = 1}", "tf_data: .* no 'prefech'"),
        ("[[trial]]\nloader = 'tourch'", "no loader 'tourch'"),
    ],
)
def test_an_error_in_a_suite_file_names_the_field(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(PlanError, match=message) as raised:
        read_suite(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", SUITES)
def test_a_built_in_suite_can_be_opened(name, tiny_photos):
    plan = make_plan(select_suite(name, [], {}, scan(tiny_photos)))
    assert len(plan.choices) > 3
    assert plan.choices[-1].loader == "synthetic"


def test_a_setting_of_a_loader_that_is_not_in_the_suite_is_refused(tiny_photos):
    used, settings = [Choice(loader="tf_data")], {"keras_pil": {"workers": 2}}
    with pytest.raises(
        PlanError,
        match=r"--set keras_pil\.workers: .* only tf_data; add --loader keras_pil",
    ):
        select_suite(None, used, settings, scan(tiny_photos))
    with pytest.raises(PlanError, match=r"--set tfdata\.prefetch: .* did you mean 'tf_data'\?"):
        select_suite(None, used, {"tfdata": {"prefetch": 2}}, scan(tiny_photos))


def test_an_unknown_loader_in_a_suite_is_refused_before_anything_runs():
    with pytest.raises(LoaderError, match="no loader 'tourch'"):
        expand([Choice(loader="tourch")])


def test_each_augmentation_is_measured_alone_and_none_is_too():
    augment = Augment(rotation=15, brightness=0.1, on_device=("brightness",))
    choices = (Choice(loader="tf_data", settings={"prefetch": 2}), Choice(loader="synthetic"))
    expanded = list(with_augment_trials(choices, augment))
    assert [choice.augment for choice in expanded] == [
        None,
        {},
        {"rotation": 15.0},
        {"brightness": 0.1, "on_device": ["brightness"]},
        None,
    ]
    assert all(Augment(**choice.augment) for choice in expanded[2:4])
    assert str(expanded[1]) == "tf_data prefetch=2 augment=none"


def test_the_cost_of_an_augmentation_comes_from_paired_blocks(trial):
    plain = trial("tf_data", [1000, 500, 1000], augment={})
    rotated = trial("tf_data", [800, 400, 800], augment={"rotation": 15})
    (cost,) = augment_costs(
        [trial("tf_data", [700, 350, 700]), plain, rotated, trial("keras_pil", [9] * 3)]
    )
    assert dict(cost.ratio) == pytest.approx({"value": 0.8, "low": 0.8, "high": 0.8})
    assert cost.ms_per_image.value == pytest.approx(0.25)
    assert "rotation=15.0 costs 0.250 [-0.025, 0.692] ms" in str(cost)
    assert summarize([plain, rotated]).winner is None


def test_later_layers_of_a_spec_override_each_augmentation_alone():
    merged = merged_spec({"augment": ["horizontal_flip"]}, {"seed": 1}, {"augment": {"crop": 0.8}})
    assert merged == {"augment": {"horizontal_flip": True, "crop": 0.8}, "seed": 1}
