"""The search on made-up rates: what it tries, drops and adopts."""

from statistics import mean

import numpy as np
import pytest
from simulated_searches import (
    DEFAULTS,
    TURBO,
    FakeBench,
    OutOfBudget,
    outcomes,
    values_of_one_setting,
)

from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.bench import DeadlinePassed
from feedbench.bench.tune.race import CONFIRMATION_JUDGED_AFTER, JUDGED_AFTER
from feedbench.bench.tune.search import FIRST_ROUNDS, MEASURED_ROUNDS, NOT_FASTEST, UNCONFIRMED
from feedbench.bench.tune.space import TOGETHER


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


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr("feedbench.loaders.contract.usable_cores", lambda: 2)


def test_the_rate_of_the_best_is_that_of_blocks_that_did_not_choose_it():
    """The first of twenty equals that looks fastest was lucky in the blocks that chose it."""
    defaults = [Choice(loader="turbo", settings={"num_threads": n}) for n in range(1, 21)]
    choosing, others = [], []
    for seed in range(15):
        bench = FakeBench(lambda choice: 1000, 0.1, seed=seed)
        search = bench.searched(defaults)
        name = str(search.best)
        for index, results in bench.rounds.items():
            if name in results:
                rates = others if index >= search.chosen_round else choosing
                rates.append(results[name] / (1 + 0.3 * np.sin(index)))
    assert mean(choosing) > 1050
    assert mean(others) == pytest.approx(1000, rel=0.015)


def test_the_best_is_timed_alone_until_it_has_enough_blocks():
    bench = FakeBench(independent_gains)
    search = bench.searched()
    rounds = len(bench.rounds)
    search.measure_best(lambda: len(bench.rounds) - rounds)
    assert len(bench.rounds) == rounds + MEASURED_ROUNDS
    assert all(
        bench.rounds[index].keys() == {str(search.best)} for index in range(rounds, rounds + 6)
    )


def test_settings_that_tie_one_by_one_are_tried_together():
    """Each gains 3 %, which one race cannot distinguish from noise; both gain 6 %."""

    def rule(choice):
        gains = {("num_threads", 1): 1.03, ("prefetch", 0): 1.03}
        rate = {"keras_pil": 500, "tf_data": 700, "turbo": 1500}[choice.loader]
        for item in choice.settings.items():
            rate *= gains.get(item, 0.97)
        return rate

    searches = [FakeBench(rule, noise=0.03, seed=seed).searched() for seed in range(5)]
    together = [
        finding
        for search in searches
        for finding in search.findings
        if finding.setting == TOGETHER and finding.outcome == "faster"
    ]
    assert {"num_threads": 1, "prefetch": 0} in [finding.choice.settings for finding in together]


def test_only_what_new_blocks_have_confirmed_is_called_faster():
    """Two values look faster in one race, and only one of them is compared again."""

    def rule(choice):
        return {1: 3000, 2: 2000}.get(choice.settings.get("num_threads"), 1000)

    with values_of_one_setting(2):
        search = FakeBench(rule, noise=0.003).searched([TURBO])
    found = {str(one.choice): (one.outcome, one.pairs, one.reason) for one in search.findings}
    assert found["turbo num_threads=1"] == ("faster", CONFIRMATION_JUDGED_AFTER[0], "")
    assert found["turbo num_threads=2"] == ("cannot tell", JUDGED_AFTER[0], NOT_FASTEST)


def test_a_deadline_in_a_confirming_race_leaves_the_results_of_the_race_before(monkeypatch):
    monkeypatch.setattr("simulated_searches.OutOfBudget", DeadlinePassed)
    blocks = FIRST_ROUNDS + 3 * JUDGED_AFTER[-1]
    bench = FakeBench(lambda choice: 1030 if "1" in str(choice) else 1000, 0.03, seed=2)
    bench.most_blocks = blocks + 1
    search = bench.search()
    with values_of_one_setting(2), pytest.raises(DeadlinePassed):
        search.run([TURBO])
    found = {str(one.choice): (one.outcome, one.reason) for one in search.findings}
    assert found == {
        "turbo num_threads=1": ("cannot tell", UNCONFIRMED),
        "turbo num_threads=2": ("tie", ""),
    }


def test_a_refused_configuration_is_timed_only_as_often_as_needed():
    bench = FakeBench(independent_gains, noise=0.03)
    bench.searched(refusal=lambda choice: "other pixels" if "decode" in choice.settings else "")
    refused = {name for name in bench.timed if "decode=" in name}
    assert refused
    assert {bench.timed.count(name) for name in refused} == {JUDGED_AFTER[0]}


@pytest.mark.parametrize("noise", [0.005, 0.03])
def test_the_best_of_the_grid_is_found_in_a_fraction_of_it(noise):
    search = FakeBench(independent_gains, noise).searched()
    best_of_grid = 1500 * 4 * 1.15 * 1.2
    assert independent_gains(search.best) >= 0.97 * best_of_grid
    assert len(outcomes(search)) < 40  # the grid has 2,000


def test_the_settings_of_the_winner_are_tried_on_other_loaders():
    def rule(choice):
        if choice.loader == "tf_data" and choice.settings.get("cache") == "decoded":
            return 9000
        return independent_gains(choice)

    search = FakeBench(rule).searched()
    assert search.best.loader == "tf_data"
    assert search.best.settings["cache"] == "decoded"


def test_a_failed_or_refused_configuration_does_not_win():
    def rule(choice):
        if choice.settings.get("cache") == "decoded":
            return "out of memory"
        return independent_gains(choice)

    def refusal(choice):
        return "other pixels" if choice.settings.get("decode") == "scaled" else ""

    search = FakeBench(rule).searched(refusal=refusal)
    assert search.best == Choice(loader="turbo", settings={"num_threads": 4})
    found = {str(finding.choice): (finding.outcome, finding.reason) for finding in search.findings}
    assert found["turbo cache=decoded"] == ("failed", "out of memory")
    assert found["turbo decode=scaled"] == ("refused", "other pixels")


def test_if_every_loader_fails_each_reason_is_reported():
    search = FakeBench(lambda choice: f"{choice.loader} is broken").searched()
    assert search.best is None
    assert [finding.reason for finding in search.findings] == [
        f"{choice.loader} is broken" for choice in DEFAULTS
    ]


def test_if_no_loader_may_win_each_reason_is_reported():
    search = FakeBench(independent_gains).searched(refusal=lambda choice: f"no {choice.loader}")
    assert search.best is None
    assert outcomes(search) == {choice.loader: "refused" for choice in DEFAULTS}


def test_all_processes_of_a_round_are_equally_old():
    ages = []

    class Watching(FakeBench):
        def time_block(self, choice, index):
            rate = super().time_block(choice, index)
            ages.append((index, self.age[str(choice)]))
            return rate

    bench = Watching(independent_gains)
    bench.searched()
    for index in bench.rounds:
        assert len({age for round_index, age in ages if round_index == index}) == 1
    assert bench.age == {}  # all processes were ended


def failing(name, times, first=9):
    """A rule by which some blocks of a configuration fail, from the `first` on."""
    calls = [0]

    def rule(choice):
        if str(choice) == name:
            calls[0] += 1
            if first <= calls[0] < first + times:
                return "killed"
        return independent_gains(choice)

    return rule


def test_a_best_that_fails_once_is_restarted():
    search = FakeBench(failing("turbo", 1)).searched()
    expected = FakeBench(independent_gains).searched()
    assert str(search.best) == str(expected.best)
    assert "failed" not in outcomes(search).values()


def test_a_best_that_fails_again_is_replaced_by_the_runner_up():
    """And nothing is concluded about the configurations that were to be compared with it."""
    search = FakeBench(failing("turbo", 1_000)).searched()
    (failed,) = (finding for finding in search.findings if finding.outcome == "failed")
    assert (str(failed.choice), failed.reason) == ("turbo", "killed")
    assert search.best is not None
    assert search.best != TURBO
    assert all(finding.pairs for finding in search.findings if finding != failed)
    assert not [finding for finding in search.findings if finding.outcome == "cannot tell"]


def test_the_runner_up_of_a_configuration_that_was_found_is_what_it_replaced_or_its_rival():
    found, replaced = "turbo cache=decoded decode=scaled", "turbo cache=decoded"
    runners_up = set()
    for first in range(9, 17):  # the blocks in which it is the best
        findings = FakeBench(failing(found, 1_000, first)).searched().findings
        (lost,) = [finding for finding in findings if finding.outcome == "failed"]
        assert str(lost.choice) == found
        runners_up.add(str(lost.against))
    assert runners_up == {replaced, f"{found} num_threads=4"}


def test_a_best_that_comes_to_use_too_much_memory_is_replaced_by_the_runner_up():
    bench = FakeBench(independent_gains)

    def refusal(choice):
        return "memory" if choice == TURBO and bench.timed.count("turbo") > 8 else ""

    search = bench.searched(refusal=refusal)
    assert outcomes(search)["turbo"] == "refused"
    assert search.best is not None
    assert search.best != TURBO


@pytest.mark.parametrize(("times", "is_kept"), [(1, True), (1_000, False)])
def test_a_best_that_fails_again_while_it_is_timed_alone_is_replaced(times, is_kept):
    killed = []

    def rule(choice):
        if killed and str(choice) == killed[0] and len(killed) <= times:
            killed.append("once more")
            return "killed"
        return independent_gains(choice)

    bench = FakeBench(rule)
    search = bench.searched()
    found, rounds = search.best, len(bench.rounds)
    killed.append(str(found))

    def blocks():
        """The blocks of the best that are neither of the search nor have failed."""
        first, name = max(rounds, search.chosen_round), str(search.best)
        new = [bench.rounds[index].get(name) for index in range(first, len(bench.rounds))]
        return sum(isinstance(rate, float) for rate in new)

    search.measure_best(blocks)
    assert (search.best == found) is is_kept
    assert blocks() == MEASURED_ROUNDS
    lost = [finding.choice for finding in search.findings if finding.outcome == "failed"]
    assert lost == ([] if is_kept else [found])


def test_a_best_that_comes_to_use_too_much_memory_alone_is_replaced():
    bench = FakeBench(independent_gains)
    refused = []
    search = bench.search(lambda choice: "memory" if choice in refused else "")
    search.run(DEFAULTS)
    refused.append(search.best)
    search.measure_best(lambda: 0 if search.best in refused else MEASURED_ROUNDS)
    assert search.best not in (None, *refused)
    assert search.findings[-1].outcome == "refused"


def test_if_the_first_choice_fails_at_once_another_loader_is_chosen():
    def rule(choice):
        calls[0] += choice == TURBO
        return "killed" if choice == TURBO and calls[0] > 2 else independent_gains(choice)

    calls = [0]
    search = FakeBench(rule).searched()
    assert outcomes(search)["turbo"] == "failed"
    assert search.best.loader == "tf_data"


def test_nothing_is_recommended_before_a_race_has_ended():
    bench = FakeBench(independent_gains, most_blocks=3 * 4)
    search = bench.search()
    with pytest.raises(OutOfBudget):
        search.run(DEFAULTS)
    assert search.best is None
    assert not search.findings


@pytest.mark.parametrize("blocks", [1, 3, 17, 40, 61, 90])
def test_a_resumed_search_repeats_what_was_measured_and_takes_the_same_best(blocks):
    first = FakeBench(independent_gains, most_blocks=blocks)
    interrupted = first.search()
    with pytest.raises(OutOfBudget):
        interrupted.run(DEFAULTS)
    rest = FakeBench(independent_gains, earlier=first.rounds)
    resumed = rest.searched()
    assert resumed.findings[: len(interrupted.findings)] == interrupted.findings
    assert min(rest.rounds) >= max(first.rounds)
    assert str(resumed.best) == str(FakeBench(independent_gains).searched().best)


def test_a_finished_search_that_is_resumed_measures_nothing():
    first = FakeBench(independent_gains)
    finished = first.searched()
    rest = FakeBench(independent_gains, earlier=first.rounds)
    resumed = rest.searched()
    assert not rest.rounds
    assert resumed.findings == finished.findings
    assert (resumed.best, resumed.chosen_round) == (finished.best, finished.chosen_round)
