"""Outcomes of comparisons: faster, slower, tie, or too few pairs to tell."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from feedbench.bench.analysis.compare import (
    MARGIN,
    adjusted_p_values,
    compare,
    compare_with_fastest,
    compare_with_reference,
    comparisons_of_all,
    comparisons_with_one,
    find_fastest,
    paired_p_values,
)
from feedbench.bench.analysis.stats import paired_ratios

STEADY = [100.0, 101, 99, 102, 100]


def rates(values, factor=1.0):
    return {index: factor * value for index, value in enumerate(values)}


def test_a_clear_difference_is_faster_one_way_and_slower_the_other():
    slow, fast = rates([80.0, 81, 80, 82, 80]), rates(STEADY)
    assert compare(slow, fast).outcome == "slower"
    assert compare(fast, slow).outcome == "faster"
    assert compare(slow, fast).pairs == 5
    assert compare(slow, fast).ratio.value == pytest.approx(0.8, abs=0.01)


def test_equal_trials_tie():
    assert compare(rates(STEADY), rates(STEADY[::-1])).outcome == "tie"
    assert compare(rates(STEADY), rates(STEADY)).outcome == "tie"


@pytest.mark.parametrize("pairs", [0, 1, 2])
def test_too_few_pairs_decide_nothing(pairs):
    comparison = compare(rates(STEADY, 0.5), rates(STEADY[:pairs]))
    assert comparison.outcome == "cannot tell"
    assert comparison.pairs == pairs


def test_only_rounds_with_blocks_of_both_count():
    drifting = {0: 50.0, 1: 101.0, 2: 202.0, 3: 1.0}
    reference = {0: 100.0, 1: 200.0, 2: 400.0, 9: 1000.0}
    assert compare(drifting, reference).outcome == "slower"
    assert compare(drifting, reference).pairs == 3


def test_p_values_are_those_of_a_t_test():
    ratios = np.array([[0.9, 0.97, 1.01, 0.93], [1.2, 1.1, 1.3, 1.05]])
    expected = ttest_1samp(np.log(ratios), 0, axis=1).pvalue
    assert paired_p_values(ratios) == pytest.approx(expected)


def test_p_values_are_adjusted_step_by_step():
    p_values = np.array([0.02, 0.001, 0.3])
    with_one = adjusted_p_values(p_values, comparisons_with_one)
    assert with_one == pytest.approx([0.04, 0.003, 0.3])
    of_all = adjusted_p_values(p_values, comparisons_of_all)
    assert of_all == pytest.approx([0.06, 0.006, 0.3])


def test_many_trials_need_a_larger_difference_than_two():
    close = [94.0, 95, 93, 98, 93]
    few = {"fast": rates(STEADY), "close": rates(close)}
    random = np.random.default_rng(0)
    many = few | {str(name): rates(random.normal(95, 1.5, 5)) for name in range(12)}
    assert compare_with_fastest(few)[1]["close"].outcome == "slower"
    assert compare_with_fastest(many)[1]["close"].outcome == "tie"


def test_a_reference_that_was_given_costs_fewer_comparisons_than_one_that_was_found():
    random = np.random.default_rng(0)
    trials = {index: rates(random.normal(100 - index, 1, 5)) for index in (10, 20, 30)}
    trials |= {0: rates(STEADY)}
    found, comparisons = compare_with_fastest(trials)
    given = compare_with_reference(trials, 0)
    assert found == 0
    assert comparisons.keys() == given.keys() == {10, 20, 30}
    for compared, margin, pairs in ((comparisons, MARGIN, 6), (given, 0.0, 3)):
        single = min(
            paired_p_values(np.array(paired_ratios(trials[name], trials[0])), margin)
            for name in compared
        )
        assert min(one.p_value for one in compared.values()) == pytest.approx(pairs * single)


def test_rates_within_the_margin_are_the_same_however_sure_the_difference_is():
    trials = {"fast": rates(STEADY * 3)}
    trials["close"] = {index: 0.98 * rate for index, rate in trials["fast"].items()}
    assert compare_with_fastest(trials)[1]["close"].outcome == "tie"
    assert compare(trials["close"], trials["fast"]).outcome == "slower"
    assert compare_with_fastest(trials)[1]["close"].p_value == 1


def test_p_values_count_only_what_is_beyond_the_margin():
    ratios = np.array([[0.9, 0.97, 1.01, 0.93], [1.2, 1.1, 1.3, 1.05]])
    beyond = np.log(ratios) - np.log([[1 - MARGIN], [1 + MARGIN]])
    expected = ttest_1samp(beyond, 0, axis=1).pvalue
    assert paired_p_values(ratios, MARGIN) == pytest.approx(expected)
    assert (paired_p_values(1 / ratios, MARGIN) != paired_p_values(ratios, MARGIN)).all()


def test_the_fastest_is_found_by_blocks_of_the_same_round():
    """`early` missed the slow rounds, so its median is higher."""
    early = {0: 200.0, 1: 190.0, 2: 195.0}
    faster = {0: 210.0, 1: 200.0, 2: 205.0, 3: 90.0, 4: 95.0, 5: 92.0, 6: 91.0}
    assert find_fastest({"early": early, "faster": faster}) == "faster"


def test_one_lucky_block_does_not_make_the_fastest():
    assert find_fastest({"lucky": {0: 900.0}, "steady": rates(STEADY)}) == "steady"
    assert find_fastest({"lucky": {0: 900.0}, "other": {0: 100.0}}) == "lucky"


def test_trials_without_a_common_round_are_compared_by_their_medians():
    assert find_fastest({"a": {0: 100.0}, "b": {1: 110.0}}) == "b"


def test_a_single_trial_is_the_fastest_of_one():
    assert compare_with_fastest({"only": rates(STEADY)}) == ("only", {})
