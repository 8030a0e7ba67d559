"""Medians with 95 % intervals, of rates and of ratios of paired blocks.

How well the intervals hold, and why these: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

from feedbench.bench.analysis.estimate import Estimate, Proportion

CONFIDENCE = 0.95
MIN_BLOCKS = 3  # fewer blocks have no interval, and fewer pairs decide nothing
_MIN_SERIAL = 10  # rates from which their correlation can be told
_MOST_CORRELATED = 0.9

Array = npt.NDArray[np.float64]
Rates = Mapping[int, float]  # images per second, by the index of the round


def median_interval(values: Sequence[float], *, positive: bool = True, looks: int = 1) -> Estimate:
    """Return the median with its interval, which is absent below `MIN_BLOCKS` values.

    Args:
        values: one per block.
        positive: whether they are rates or ratios, which vary by a factor; otherwise they are
            differences.
        looks: how often it could be decided by these values whether to take more. The intervals
            of all these times together then hold with `CONFIDENCE`, and so does the last.
    """
    middle = float(median(values))
    if len(values) < MIN_BLOCKS:
        return Estimate(value=middle)
    low, high = interval_ends(np.asarray(values, float), positive=positive, looks=looks)
    return Estimate(value=middle, low=float(low), high=float(high))


def serial_interval(rates: Sequence[float]) -> Estimate:
    """Return the median with its interval of rates that followed each other in one process.

    Neighbors that resemble each other say less than as many independent rates. The interval is
    widened by the square root of that ratio, from `_MIN_SERIAL` rates on; fewer do not tell.

    Source: Marriott and Pope, Bias in the estimation of autocorrelations, Biometrika 41 (1954).
    """
    estimate = median_interval(rates)
    if estimate.interval is None or len(rates) < _MIN_SERIAL:
        return estimate
    correlation = _neighbor_correlation(np.log(rates))
    factor = math.sqrt((1 + correlation) / (1 - correlation))
    low, high = ((end / estimate.value) ** factor for end in estimate.interval)
    return Estimate(value=estimate.value, low=estimate.value * low, high=estimate.value * high)


def _neighbor_correlation(values: Array) -> float:
    """Return the correlation of neighbors, 0 to `_MOST_CORRELATED`, corrected for its bias."""
    apart = values - values.mean()
    variance = float(apart @ apart)
    found = float(apart[1:] @ apart[:-1]) / variance if variance else 0.0
    return min(max(found + (1 + 4 * found) / len(values), 0.0), _MOST_CORRELATED)


def interval_ends(values: Array, *, positive: bool = True, looks: int = 1) -> tuple[Array, Array]:
    """Return both ends of the interval of the median.

    Args:
        values: float64 `[..., n]`, at least `MIN_BLOCKS` along the last axis.
        positive: as for `median_interval`.
        looks: as for `median_interval`.

    Returns:
        Two arrays `[...]`.
    """
    confidence = 1 - (1 - CONFIDENCE) / looks
    if _can_be_ordered(values.shape[-1], confidence):
        return _ordered_ends(values, confidence)
    if not positive:
        return _student_ends(values, confidence)
    low, high = _student_ends(np.log(values), confidence)
    return np.exp(low), np.exp(high)


def _can_be_ordered(n: int, confidence: float) -> bool:
    """Whether the smallest and the largest of n values enclose the median with this confidence."""
    return bool(1 - 2 * 0.5**n >= confidence)


def _student_ends(values: Array, confidence: float) -> tuple[Array, Array]:
    """Return the ends of Student's interval of the mean.

    Of so few values it always contains the median, which is at most a standard deviation away.
    """
    from scipy.special import stdtrit

    n, mean = values.shape[-1], values.mean(axis=-1)
    half = stdtrit(n - 1, (1 + confidence) / 2) * values.std(axis=-1, ddof=1) / np.sqrt(n)
    return mean - half, mean + half


def _ordered_ends(values: Array, confidence: float) -> tuple[Array, Array]:
    """Return ends interpolated between two neighbors in the order of the values.

    The median lies between the k-th smallest and the k-th largest value with a probability that
    depends on no distribution.

    Source: Hettmansperger and Sheather, Confidence intervals based on interpolated order
    statistics, Statistics & Probability Letters 4 (1986).
    """
    from scipy.special import bdtr

    ordered, n = np.sort(values, axis=-1), values.shape[-1]
    certainty = 1 - 2 * bdtr(np.arange(n // 2), n, 0.5)  # between the k-th from below and above
    k = int(np.sum(certainty >= confidence))
    surplus = (certainty[k - 1] - confidence) / (certainty[k - 1] - certainty[k])
    inner = (n - k) * surplus / (k + (n - 2 * k) * surplus)
    low = (1 - inner) * ordered[..., k - 1] + inner * ordered[..., k]
    high = (1 - inner) * ordered[..., n - k] + inner * ordered[..., n - k - 1]
    return low, high


def wilson(successes: int, total: int) -> Proportion:
    """Return a proportion with its Wilson interval."""
    from scipy.stats import binomtest

    interval = binomtest(successes, total).proportion_ci(CONFIDENCE, method="wilson")
    return Proportion(value=successes / total, low=float(interval.low), high=float(interval.high))


def paired_ratios(rates: Rates, reference: Rates) -> list[float]:
    """Return the ratios of two trials' rates, one per round in which both have a block.

    Args:
        rates: images per second, by the index of the round.
        reference: the rates to divide by.
    """
    return [rates[index] / reference[index] for index in sorted(rates.keys() & reference.keys())]


def paired_ratio(rates: Rates, reference: Rates, *, looks: int = 1) -> Estimate | None:
    """Return the median of `paired_ratios`; None if no round has a block of both.

    Args:
        rates: images per second, by the index of the round.
        reference: the rates to divide by.
        looks: as for `median_interval`.
    """
    ratios = paired_ratios(rates, reference)
    return median_interval(ratios, looks=looks) if ratios else None


def independent_ratio(numerator: Estimate, denominator: Estimate) -> Estimate:
    """Return the ratio of two estimates that have no block in common.

    The interval is absent if one of the two has none.

    Source: Donner and Zou, Closed-form confidence intervals for functions of the normal mean and
    standard deviation, Statistical Methods in Medical Research 21 (2012), on logarithms.
    """
    value = numerator.value / denominator.value
    if numerator.interval is None or denominator.interval is None:
        return Estimate(value=value)
    low, high = numerator.interval
    least, most = denominator.interval
    below = math.hypot(math.log(numerator.value / low), math.log(most / denominator.value))
    above = math.hypot(math.log(high / numerator.value), math.log(denominator.value / least))
    return Estimate(value=value, low=value * math.exp(-below), high=value * math.exp(above))
