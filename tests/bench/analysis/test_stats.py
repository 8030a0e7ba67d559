"""Intervals cover what they should, and ratios pair blocks of the same round."""

import numpy as np
import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval, paired_ratio


def test_the_interval_lies_around_the_median_within_the_values():
    low, high = 90.0, 130.0
    interval = median_interval([low, 100, 101, 104, high])
    assert interval.value == 101
    assert low <= interval.low < 101 < interval.high <= high


def test_the_interval_is_reproducible():
    values = [3.0, 1.0, 2.0, 5.0, 4.0]
    assert median_interval(values) == median_interval(values)


@pytest.mark.parametrize("values", [[7.0], [7.0, 7.0, 7.0]])
def test_values_without_spread_give_an_interval_of_width_zero(values):
    assert median_interval(values) == Estimate(value=7, low=7, high=7)


def test_the_interval_covers_the_true_median_about_as_often_as_stated():
    random = np.random.default_rng(1)
    covered = [median_interval(list(random.normal(10, 1, 15))).contains(10) for _ in range(100)]
    assert np.mean(covered) > 0.85


def test_drift_cancels_in_a_ratio_of_paired_blocks():
    slow = {0: 50.0, 1: 100.0, 2: 400.0}
    fast = {0: 100.0, 1: 200.0, 2: 800.0, 3: 1.0}
    assert paired_ratio(slow, fast) == Estimate(value=0.5, low=0.5, high=0.5)


def test_trials_without_a_common_round_have_no_ratio():
    assert paired_ratio({0: 1.0}, {1: 1.0}) is None
