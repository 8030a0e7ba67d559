"""The search on made-up rates: what it tries, drops, takes over, and how it goes on."""

import numpy as np
import pytest

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.search import (
    LEAST,
    MOST,
    TOGETHER,
    OutOfBudget,
    Search,
    alternatives,
    changed,
    outcome_of,
    transferred,
)

DEFAULTS = [Choice(loader="keras_pil"), Choice(loader="tf_data"), Choice(loader="turbo")]


class World:
    """Rates by a rule, with the noise of a shared machine that hits all of a round alike."""

    def __init__(self, rule, noise=0.02, limit=10_000, seed=0):
        self.rule, self.noise, self.limit, self.seed = rule, noise, limit, seed
        self.timed, self.ended = [], []

    def block(self, choice, turn):
        if len(self.timed) >= self.limit:
            raise OutOfBudget
        self.timed.append(str(choice))
        rate = self.rule(choice)
        if isinstance(rate, str):
            return rate
        drift = 1 + 0.3 * np.sin(turn)
        own = np.random.default_rng([self.seed, turn, len(str(choice))]).normal(1, self.noise)
        return rate * drift * own

    def search(self, **how):
        told = how.pop("told", lambda finding: None)
        refuse = how.pop("refuse", lambda choice: "")
        return Search(self.block, lambda one: self.ended.append(str(one)), refuse, told, **how)


def additive(choice):
    """Worth of each setting, independent of the others."""
    rate = {"keras_pil": 500, "keras_directory": 900, "tf_data": 1000, "turbo": 1500}[choice.loader]
    gains = {
        ("cache", "decoded"): 4, ("cache", "encoded"): 1.1, ("decode", "scaled"): 1.15,
        ("prefetch", 0): 0.7, ("num_threads", 1): 0.55, ("num_threads", 4): 1.2,
        ("output", "float32"): 0.8,
    }  # fmt: skip
    for item in choice.settings.items():
        rate *= gains.get(item, 1)
    return rate


def test_pairs_decide_early_only_if_all_are_clear():
    assert outcome_of({0: 1.0}, {0: 9.0})[0] == "unfinished"  # nobody is judged on one block
    assert outcome_of({0: 1.0, 1: 1.0}, {0: 2.0, 1: 1.2})[0] == "slower"
    assert outcome_of({0: 1.0, 1: 1.0}, {0: 2.0, 1: 1.02})[0] == "unfinished"
    assert outcome_of({0: 2.0, 1: 1.2}, {0: 1.0, 1: 1.0})[0] == "faster"
    noisy = {turn: 1 + 0.1 * (-1) ** turn for turn in range(MOST)}
    assert outcome_of(noisy, dict.fromkeys(range(MOST), 1.0))[0] == "tie"
    assert outcome_of({0: 1.0, 1: 1.0}, {2: 2.0, 3: 2.0})[0] == "unfinished"  # not one pair


def test_what_is_the_same_in_every_pair_is_a_tie_at_once():
    """As with an accelerator that is kept busy by both."""
    rates = {0: 1000.0, 1: 1001.0, 2: 999.0}
    assert outcome_of(rates, dict.fromkeys(rates, 1000.0))[0] == "tie"
    assert outcome_of(rates, dict.fromkeys(rates, 970.0))[0] == "unfinished"  # 3 % is no tie


def test_settings_that_tie_one_by_one_race_together():
    """Each gains 3 %, which no race of its own can tell from nothing; both gain 6 %."""

    def rule(choice):
        gains = {("num_threads", 1): 1.03, ("prefetch", 0): 1.03}
        rate = {"keras_pil": 500, "tf_data": 700, "turbo": 1500}[choice.loader]
        for item in choice.settings.items():
            rate *= gains.get(item, 0.97)
        return rate

    search = World(rule, noise=0.04, seed=1).search()
    search.run(DEFAULTS)
    single = [one for one in search.findings if str(one.choice) == "turbo prefetch=0"]
    assert [one.outcome for one in single] == ["tie"]
    assert search.best.settings == {"num_threads": 1, "prefetch": 0}
    assert TOGETHER in [one.setting for one in search.findings]


def test_what_may_not_win_runs_only_as_long_as_shows_its_worth():
    world = World(additive, noise=0.03)
    search = world.search(refuse=lambda one: "other pixels" if "decode" in one.settings else "")
    search.run(DEFAULTS)
    assert {world.timed.count(name) for name in world.timed if "decode=" in name} == {LEAST}


@pytest.mark.parametrize("noise", [0.005, 0.03])
def test_the_best_of_the_grid_is_found_in_a_fraction_of_it(noise):
    world = World(additive, noise)
    search = world.search()
    search.run(DEFAULTS)
    wanted = 1500 * 4 * 1.15 * 1.2
    assert additive(search.best) >= 0.97 * wanted
    tried = {str(one.choice) for one in search.findings}
    assert len(tried) < 40  # the grid has 2,000


def test_a_setting_that_only_another_loader_gains_from_is_tried_there_too():
    def rule(choice):
        if choice.loader == "tf_data" and choice.settings.get("cache") == "decoded":
            return 9000
        return additive(choice)

    search = World(rule).search()
    search.run(DEFAULTS)
    assert search.best.loader == "tf_data"
    assert search.best.settings["cache"] == "decoded"


def test_what_fails_or_is_refused_does_not_win():
    def rule(choice):
        return "no memory" if choice.settings.get("cache") == "decoded" else additive(choice)

    def refuse(choice):
        return "other pixels" if choice.settings.get("decode") == "scaled" else ""

    search = World(rule).search(refuse=refuse)
    search.run(DEFAULTS)
    assert search.best == Choice(loader="turbo", settings={"num_threads": 4})
    outcomes = {str(one.choice): (one.outcome, one.reason) for one in search.findings}
    assert outcomes["turbo cache=decoded"] == ("failed", "no memory")
    assert outcomes["turbo decode=scaled"] == ("refused", "other pixels")


def test_nothing_that_runs_is_said_with_every_reason():
    search = World(lambda choice: f"{choice.loader} is broken").search()
    search.run(DEFAULTS)
    assert search.best is None
    assert [one.reason for one in search.findings] == [
        f"{choice.loader} is broken" for choice in DEFAULTS
    ]


def test_every_process_but_the_best_ones_is_ended():
    world = World(additive)
    search = world.search()
    search.run(DEFAULTS)
    assert set(world.timed) - set(world.ended) == {str(search.best)}


def test_what_was_found_before_is_not_measured_again():
    whole, part = World(additive), World(additive, limit=40)
    undisturbed, stopped = whole.search(), part.search()
    undisturbed.run(DEFAULTS)
    with pytest.raises(OutOfBudget):
        stopped.run(DEFAULTS)
    assert stopped.best is not None
    settled = {(str(one.choice), str(one.against)): one for one in stopped.findings}
    rest = World(additive)
    going_on = rest.search(settled=settled, turn=stopped.turn)
    going_on.run(DEFAULTS)
    assert str(going_on.best) == str(undisturbed.best)
    assert len(rest.timed) <= len(whole.timed) - 20


def test_alternatives_differ_in_one_setting_and_leave_defaults_out():
    found = alternatives(Choice(loader="turbo", settings={"prefetch": 0}), "prefetch")
    assert [one.settings for one in found] == [{}, {"prefetch": 4}]
    assert changed(Choice(loader="keras_pil"), {"workers": 1}) is None  # not allowed by the loader


def test_other_loaders_take_what_they_have_too():
    winner = Choice(loader="turbo", settings={"cache": "decoded", "num_threads": 4})
    moved = transferred(winner, [Choice(loader="tf_data"), Choice(loader="keras_pil")])
    assert moved == [Choice(loader="tf_data", settings={"cache": "decoded"})]
