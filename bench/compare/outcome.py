"""Which rates differ, and which are certainly slower by some percent, with a stated error rate.

Blocks of two runs are not paired: their rates are independent samples, compared by the ratio of
their medians and by Welch's test of their logarithms. Blocks of the same rounds are compared by
their paired ratios, and by the ranks of these where they are enough. Interval and test must agree.
Two processes that do the same work differ by a few percent, which no interval contains, so rates
within `MARGIN` count as the same.

How often the decisions err: docs/ci.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from feedbench.bench.analysis.compare import (
    ERROR_RATE,
    MARGIN,
    adjusted_p_values,
    comparisons_with_one,
)
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import (
    CONFIDENCE,
    MIN_BLOCKS,
    Rates,
    independent_ratio,
    median_interval,
    paired_ratios,
)
from feedbench.bench.compare.location import LocationTest, StudentTest, location_test
from feedbench.bench.results.comparison import Outcome

_MIN_ORDERED = 6  # blocks from which an interval is not that of Student's t


@dataclass(frozen=True)
class Measured:
    """A rate in images per second.

    Attributes:
        blocks: number of blocks that it comes from.
        rates: of each block, by the index of its round; empty if the record holds only the
            estimate.
    """

    estimate: Estimate
    blocks: int
    rates: Rates = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """The ratio of two rates.

    Attributes:
        estimate: with its 95 % interval, if there is one.
        test: of its logarithm; None if nothing can be tested.
    """

    estimate: Estimate
    test: LocationTest | None = None

    def p_below(self, limit: float) -> float:
        """Return the one-sided p-value of the claim that the ratio is below a limit."""
        return self.test.p_below(math.log(limit)) if self.test else 1.0

    def p_above(self, limit: float) -> float:
        """Return the one-sided p-value of the claim that the ratio is above a limit."""
        return self.test.p_above(math.log(limit)) if self.test else 1.0


def measured(rates: Rates) -> Measured:
    """Return the rate of at least one block."""
    return Measured(median_interval(list(rates.values())), len(rates), rates)


def paired_rates(rate: Measured, reference: Measured) -> Rates:
    """Return the rate divided by another, for each round in which both have a block."""
    rounds = sorted(rate.rates.keys() & reference.rates.keys())
    return {index: rate.rates[index] / reference.rates[index] for index in rounds}


def independent(other: Measured, base: Measured) -> Ratio:
    """Return the ratio of two rates that have no round in common."""
    estimate = independent_ratio(other.estimate, base.estimate)
    moments, others = _moments(base), _moments(other)
    if moments is None or others is None:
        return Ratio(estimate)
    (mean, variance, freedom), (mean_2, variance_2, freedom_2) = moments, others
    both = variance + variance_2
    # Welch and Satterthwaite's approximation.
    shares = variance**2 / freedom + variance_2**2 / freedom_2
    freedom = both**2 / shares if shares else freedom + freedom_2
    return Ratio(estimate, StudentTest(mean_2 - mean, math.sqrt(both), freedom))


def _moments(rate: Measured) -> tuple[float, float, float] | None:
    """Return the mean logarithm, the variance of the mean, and its degrees of freedom.

    Where the blocks were not saved, they follow from the interval.
    """
    if len(rate.rates) >= MIN_BLOCKS:
        logs = np.log(list(rate.rates.values()))
        return float(logs.mean()), float(logs.var(ddof=1)) / logs.size, logs.size - 1
    if rate.rates or rate.estimate.interval is None:
        return None
    return _moments_of(rate.estimate.value, *rate.estimate.interval, max(rate.blocks, MIN_BLOCKS))


def _moments_of(
    value: float, low: float, high: float, blocks: int
) -> tuple[float, float, float] | None:
    from scipy.special import stdtrit

    half = (math.log(high) - math.log(low)) / 2
    mean = math.log(value) if blocks >= _MIN_ORDERED else (math.log(low) + math.log(high)) / 2
    error = half / float(stdtrit(blocks - 1, (1 + CONFIDENCE) / 2))
    return mean, error**2, blocks - 1


def paired(rates: Rates, reference: Rates) -> Ratio | None:
    """Return the ratio over the rounds in which both have a block; None if there is none.

    Args:
        rates: images per second, by the index of the round.
        reference: of what to compare with.
    """
    ratios = paired_ratios(rates, reference)
    if not ratios:
        return None
    return Ratio(median_interval(ratios), location_test(ratios))


def outcomes(ratios: Sequence[Ratio | None]) -> list[Outcome]:
    """Return what is known of each ratio; all together are a family with one rate of errors.

    In at most `ERROR_RATE` of the families, a rate that differs by less than `MARGIN` is called
    faster or slower.
    """
    p_values = [_p_value(ratio) for ratio in ratios]
    adjusted = adjusted_p_values(np.array(p_values, float), comparisons_with_one).tolist()
    return [_outcome(ratio, p_value) for ratio, p_value in zip(ratios, adjusted, strict=True)]


def _p_value(ratio: Ratio | None) -> float:
    if ratio is None:
        return 1.0
    return min(1.0, 2 * min(ratio.p_below(1 - MARGIN), ratio.p_above(1 + MARGIN)))


def _outcome(ratio: Ratio | None, p_value: float) -> Outcome:
    """Return the outcome; the interval must agree with the test."""
    if ratio is None or ratio.estimate.interval is None:
        return "cannot tell"
    interval, differ = ratio.estimate, p_value <= ERROR_RATE
    if differ and interval.lies_below(1 - MARGIN):
        return "slower"
    if differ and interval.lies_above(1 + MARGIN):
        return "faster"
    is_same = interval.lies_above(1 - MARGIN) and interval.lies_below(1 + MARGIN)
    return "same within 3 %" if is_same else "cannot tell"


def surely_slower(ratios: Sequence[Ratio], limit: float) -> list[bool]:
    """Return which ratios are certainly below 1 − limit, with one rate of errors for all.

    The whole interval must be, and the tests of all ratios together.
    """
    p_values = np.array([ratio.p_below(1 - limit) for ratio in ratios], float)
    adjusted = adjusted_p_values(p_values, comparisons_with_one)
    return [
        bool(p_value <= ERROR_RATE) and ratio.estimate.lies_below(1 - limit)
        for ratio, p_value in zip(ratios, adjusted, strict=True)
    ]


def surely_not_slower(ratio: Ratio, limit: float) -> bool:
    """Whether the whole interval is above 1 − limit."""
    return ratio.estimate.lies_above(1 - limit)
