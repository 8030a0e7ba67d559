"""The search on made-up rates: what it tries, drops and adopts, and how it is resumed."""

import numpy as np
import pytest

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import LEAST_BLOCKS
from feedbench.bench.tune.search import OutOfBudget, Search
from feedbench.bench.tune.space import TOGETHER

DEFAULTS = [Choice(loader="keras_pil"), Choice(loader="tf_data"), Choice(loader="turbo")]


class FakeBench:
    """Rates by a rule, with the drift of a shared machine that affects a whole round equally."""

    def __init__(self, rule, noise=0.02, most_blocks=10_000, seed=0):
        self.rule, self.noise, self.most_blocks, self.seed = rule, noise, most_blocks, seed
        self.timed, self.ended, self.rounds = [], [], []

    def time_block(self, choice, round_index):
        if len(self.timed) >= self.most_blocks:
            raise OutOfBudget
        self.timed.append(str(choice))
        self.rounds.append(round_index)
        rate = self.rule(choice)
        if isinstance(rate, str):
            return rate
        drift = 1 + 0.3 * np.sin(round_index)
        random = np.random.default_rng([self.seed, round_index, len(str(choice))])
        return rate * drift * random.normal(1, self.noise)

    def search(self, refusal=lambda choice: "", **options):
        def end(choice):
            self.ended.append(str(choice))

        return Search(self.time_block, end, refusal, lambda finding: None, **options)


def independent_gains(choice):
    """A rate to which each setting contributes independently of the others."""
    rate = {"keras_pil": 500, "keras_directory": 900, "tf_data": 1000, "turbo": 1500}[choice.loader]
    gains = {
        ("cache", "decoded"): 4, ("cache", "encoded"): 1.1, ("decode", "scaled"): 1.15,
        ("prefetch", 0): 0.7, ("num_threads", 1): 0.55, ("num_threads", 4): 1.2,
        ("output", "float32"): 0.8,
    }  # fmt: skip
    for item in choice.settings.items():
        rate *= gains.get(item, 1)
    return rate


def test_settings_that_tie_one_by_one_are_tried_together():
    """Each gains 3 %, which one race cannot distinguish from noise; both gain 6 %."""

    def rule(choice):
        gains = {("num_threads", 1): 1.03, ("prefetch", 0): 1.03}
        rate = {"keras_pil": 500, "tf_data": 700, "turbo": 1500}[choice.loader]
        for item in choice.settings.items():
            rate *= gains.get(item, 0.97)
        return rate

    search = FakeBench(rule, noise=0.04, seed=1).search()
    search.run(DEFAULTS)
    single = [finding for finding in search.findings if str(finding.choice) == "turbo prefetch=0"]
    assert [finding.outcome for finding in single] == ["tie"]
    assert search.best.settings == {"num_threads": 1, "prefetch": 0}
    assert TOGETHER in [finding.setting for finding in search.findings]


def test_a_refused_configuration_is_timed_only_as_often_as_needed():
    bench = FakeBench(independent_gains, noise=0.03)
    search = bench.search(lambda choice: "other pixels" if "decode" in choice.settings else "")
    search.run(DEFAULTS)
    refused = {name for name in bench.timed if "decode=" in name}
    assert {bench.timed.count(name) for name in refused} == {LEAST_BLOCKS}


@pytest.mark.parametrize("noise", [0.005, 0.03])
def test_the_best_of_the_grid_is_found_in_a_fraction_of_it(noise):
    search = FakeBench(independent_gains, noise).search()
    search.run(DEFAULTS)
    best_of_grid = 1500 * 4 * 1.15 * 1.2
    assert independent_gains(search.best) >= 0.97 * best_of_grid
    tried = {str(finding.choice) for finding in search.findings}
    assert len(tried) < 40  # the grid has 2,000


def test_the_settings_of_the_winner_are_tried_on_other_loaders():
    def rule(choice):
        if choice.loader == "tf_data" and choice.settings.get("cache") == "decoded":
            return 9000
        return independent_gains(choice)

    search = FakeBench(rule).search()
    search.run(DEFAULTS)
    assert search.best.loader == "tf_data"
    assert search.best.settings["cache"] == "decoded"


def test_a_failed_or_refused_configuration_does_not_win():
    def rule(choice):
        if choice.settings.get("cache") == "decoded":
            return "out of memory"
        return independent_gains(choice)

    def refusal(choice):
        return "other pixels" if choice.settings.get("decode") == "scaled" else ""

    search = FakeBench(rule).search(refusal)
    search.run(DEFAULTS)
    assert search.best == Choice(loader="turbo", settings={"num_threads": 4})
    outcomes = {
        str(finding.choice): (finding.outcome, finding.reason) for finding in search.findings
    }
    assert outcomes["turbo cache=decoded"] == ("failed", "out of memory")
    assert outcomes["turbo decode=scaled"] == ("refused", "other pixels")


def test_if_every_loader_fails_each_reason_is_reported():
    search = FakeBench(lambda choice: f"{choice.loader} is broken").search()
    search.run(DEFAULTS)
    assert search.best is None
    assert [finding.reason for finding in search.findings] == [
        f"{choice.loader} is broken" for choice in DEFAULTS
    ]


def test_every_process_but_that_of_the_best_is_ended():
    bench = FakeBench(independent_gains)
    search = bench.search()
    search.run(DEFAULTS)
    assert set(bench.timed) - set(bench.ended) == {str(search.best)}


def test_a_resumed_search_does_not_repeat_what_was_measured():
    whole, first_part = FakeBench(independent_gains), FakeBench(independent_gains, most_blocks=40)
    uninterrupted, interrupted = whole.search(), first_part.search()
    uninterrupted.run(DEFAULTS)
    with pytest.raises(OutOfBudget):
        interrupted.run(DEFAULTS)
    assert interrupted.best is not None
    rest = FakeBench(independent_gains)
    next_round = max(first_part.rounds) + 1
    resumed = rest.search(earlier=interrupted.findings, first_round=next_round)
    resumed.run(DEFAULTS)
    assert str(resumed.best) == str(uninterrupted.best)
    assert min(rest.rounds) == next_round
    assert len(rest.timed) <= len(whole.timed) - 20


def test_the_order_within_a_round_depends_on_the_seed():
    orders = []
    for seed in (0, 0, 1, 2):
        bench = FakeBench(independent_gains)
        bench.search(seed=seed).run(DEFAULTS)
        orders.append(bench.timed[:6])
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) > 1
