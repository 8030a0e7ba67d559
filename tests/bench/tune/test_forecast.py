"""What fits into a budget is said before anything is timed."""

from dataclasses import replace

import pytest

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, Suite, Timing, make_plan
from feedbench.bench.tune import forecast as module
from feedbench.bench.tune.forecast import forecast

LOADERS = ["turbo", "tf_data", "keras_directory", "keras_pil"]
IMAGES = 6_000


@pytest.fixture
def plan(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    timing = Timing(block_seconds=0.75, warm_up_seconds=2.0)
    suite = Suite(trial=[Choice(loader=name) for name in LOADERS], consumer="drain", timing=timing)
    return make_plan(suite)


def test_a_long_budget_fits_all_loaders_and_some_settings(plan):
    fits = forecast(plan, 300, IMAGES)
    assert ([choice.loader for choice in fits.choices], fits.left_out) == (LOADERS, ())
    assert fits.races > 3
    assert str(fits) == (
        f"The budget is enough to compare 4 loaders, and for about {fits.races} comparisons of "
        "settings."
    )


def test_a_short_budget_fits_the_first_loaders(plan):
    fits = forecast(plan, 35, IMAGES)
    assert [choice.loader for choice in fits.choices] == LOADERS[:2]
    assert str(fits).startswith(
        "The budget is enough for 2 loaders: turbo, tf_data. Not tried: keras_directory, keras_pil"
    )
    just_all = forecast(plan, fits.all_s + 0.1, IMAGES)
    assert just_all.left_out == ()
    assert str(just_all) == (
        "The budget is enough to compare 4 loaders, but hardly any of their settings."
    )
    assert forecast(plan, fits.all_s - 0.1, IMAGES).left_out != ()


def test_a_budget_in_which_no_loader_can_be_timed_is_refused_with_one_that_suffices(plan):
    with pytest.raises(PlanError, match=r"--budget 3s: too short .* give at least --budget 9s"):
        forecast(plan, 3, IMAGES)
    assert len(forecast(plan, 9, IMAGES).choices) == 1


def test_a_trainer_takes_longer_to_start(plan):
    trains = replace(plan, consumer="train")
    assert forecast(trains, 300, IMAGES).all_s > forecast(plan, 300, IMAGES).all_s + 10


def test_the_warm_up_of_a_loader_that_fills_a_cache_takes_an_epoch(plan):
    cached = Choice(loader="turbo", settings={"cache": "decoded"})
    filling = replace(plan, choices=(cached, *plan.choices[1:]))
    fits = forecast(filling, 300, IMAGES)  # 6 s on two cores, instead of 2 s
    assert fits.all_s == pytest.approx(forecast(plan, 300, IMAGES).all_s + 4)
    assert fits.races < forecast(plan, 300, IMAGES).races
    assert str(fits).endswith(
        "Each process of turbo cache=decoded fills its cache first, which may take about 6 s."
    )


@pytest.mark.parametrize(("call", "least_s"), [("dataset.cache()", 60), ("none", 2)])
def test_a_users_cache_is_waited_for_a_minute_at_most(plan, tmp_path, monkeypatch, call, least_s):
    (tmp_path / "pipeline.py").write_text(f"def make(data):\n    return data  # {call}\n")
    monkeypatch.chdir(tmp_path)
    own = replace(plan, choices=(Choice(loader="pipeline.py:make"),))
    plain = replace(plan, choices=plan.choices[:1])
    longer = forecast(own, 300, 10**7).all_s - forecast(plain, 300, 10**7).all_s
    assert longer == pytest.approx(least_s - 2)
