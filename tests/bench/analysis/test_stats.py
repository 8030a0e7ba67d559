"""Medians and their intervals, and ratios of blocks of the same round or of different runs."""

import math

import numpy as np
import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import (
    MIN_BLOCKS,
    independent_ratio,
    median_interval,
    paired_ratio,
)


@pytest.mark.parametrize("values", [[7.0], [7.0, 9.0]])
def test_fewer_than_three_values_have_no_interval(values):
    assert median_interval(values) == Estimate(value=np.median(values))
    assert len(values) < MIN_BLOCKS


def test_a_few_values_have_the_interval_of_students_t_of_their_logarithms():
    logs = np.log([90.0, 100, 104, 101, 130])
    half = 2.7764 * logs.std(ddof=1) / math.sqrt(5)
    interval = median_interval([90, 100, 104, 101, 130])
    assert interval.value == 101
    assert interval.low == pytest.approx(math.exp(logs.mean() - half), rel=1e-4)
    assert interval.high == pytest.approx(math.exp(logs.mean() + half), rel=1e-4)


def test_many_values_have_the_interval_between_two_of_them():
    """For n = 20 order statistics 6 and 15 cover 95.9 %, 7 and 14 only 88.5 %."""
    interval = median_interval([float(value) for value in range(1, 21)])
    assert interval.value == 10.5
    assert 6 < interval.low < 6.3
    assert interval.low + interval.high == pytest.approx(21)


def test_a_slow_block_among_many_hardly_moves_the_interval():
    values = [99.0, 100, 101, 102, 103, 104, 105]
    disturbed = median_interval([60.0, *values])
    assert disturbed.low > 95
    assert disturbed.high < 105


@pytest.mark.parametrize("count", range(MIN_BLOCKS, 30))
def test_the_interval_contains_the_median(count):
    random = np.random.default_rng(count)
    for values in np.exp(random.choice([0.0, 0.5], (50, count)) + random.random((50, count)) / 99):
        interval = median_interval(values.tolist())
        assert interval.low <= interval.value <= interval.high


def test_drift_cancels_in_a_ratio_of_paired_blocks():
    slow = {0: 50.0, 1: 100.0, 2: 400.0}
    fast = {0: 100.0, 1: 200.0, 2: 800.0, 3: 1.0}
    assert dict(paired_ratio(slow, fast)) == pytest.approx({"value": 0.5, "low": 0.5, "high": 0.5})


def test_trials_without_a_common_round_have_no_ratio():
    assert paired_ratio({0: 1.0}, {1: 1.0}) is None


def test_the_ratio_of_two_runs_is_as_uncertain_as_both_together():
    exact, rough = Estimate(value=100, low=100, high=100), Estimate(value=50, low=40, high=60)
    assert dict(independent_ratio(rough, exact)) == pytest.approx(
        {"value": 0.5, "low": 0.4, "high": 0.6}
    )
    inverse = independent_ratio(exact, rough)
    assert (inverse.low, inverse.high) == pytest.approx((100 / 60, 100 / 40))
    both = independent_ratio(rough, rough)
    assert both.low == pytest.approx(math.exp(-math.hypot(math.log(5 / 4), math.log(6 / 5))))
    assert both.low * both.high == pytest.approx(1)


def test_without_one_of_two_intervals_their_ratio_has_none():
    exact, single = Estimate(value=100, low=99, high=101), Estimate(value=50)
    assert independent_ratio(single, exact) == Estimate(value=0.5)
    assert independent_ratio(exact, single) == Estimate(value=2)
