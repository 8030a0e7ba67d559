"""Ratios of the same rounds are tested by their mean if they are few, else by their ranks."""

import math

import numpy as np
import pytest

from feedbench.bench.compare.location import (
    MIN_RANKED,
    SignedRankTest,
    StudentTest,
    location_test,
)
from feedbench.bench.errors import RecordError


def ratios(count, middle=0.9, spread=0.01):
    return (middle * np.exp(np.random.default_rng(0).normal(0, spread, count))).tolist()


def test_too_few_ratios_are_not_tested():
    assert location_test([0.9, 0.9]) is None


@pytest.mark.parametrize(
    ("count", "kind"),
    [(3, StudentTest), (MIN_RANKED - 1, StudentTest), (MIN_RANKED, SignedRankTest)],
)
def test_many_ratios_are_ranked(count, kind):
    test = location_test(ratios(count))
    assert isinstance(test, kind)
    assert test.p_below(math.log(0.97)) < 0.01
    assert test.p_above(math.log(0.97)) > 0.99
    assert test.p_below(math.log(0.85)) > 0.99
    assert test.p_above(math.log(0.85)) < 0.01


def test_a_block_of_half_the_rate_counts_no_more_than_another():
    values = ratios(25, spread=0.03)
    slower, faster = [values[0] / 2, *values[1:]], [values[0] * 2, *values[1:]]
    for disturbed in (slower, faster):
        assert location_test(disturbed).p_below(math.log(0.97)) < 1e-4
    logs = np.log(faster)
    mean = StudentTest(float(logs.mean()), float(logs.std(ddof=1)) / 5, 24)
    assert mean.p_below(math.log(0.97)) > 0.01


@pytest.mark.parametrize("count", [3, MIN_RANKED])
@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_what_is_no_ratio_of_two_rates_is_refused(count, bad):
    with pytest.raises(RecordError, match=f"above 0 and finite, got {bad}"):
        location_test([*ratios(count - 1), bad])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logarithms_that_are_not_finite_have_no_ranks(bad):
    with pytest.raises(RecordError, match=f"must be finite, got {bad}"):
        SignedRankTest((*np.log(ratios(MIN_RANKED)), bad))


@pytest.mark.parametrize("count", [3, 20])
def test_equal_ratios_differ_from_all_but_themselves(count):
    test = location_test([0.9] * count)
    assert test.p_below(math.log(0.9)) == test.p_above(math.log(0.9)) == 1
    assert test.p_below(math.log(0.97)) < 0.001
    assert test.p_above(math.log(0.97)) > 0.999
