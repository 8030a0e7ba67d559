"""Medians with bootstrap intervals, of rates and of ratios of paired blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feedbench.bench.analysis.estimate import Estimate

CONFIDENCE = 0.95
_RESAMPLES = 9_999


def median_interval(values: Sequence[float]) -> Estimate:
    """The median and its percentile bootstrap interval; repeatable.

    One value alone says nothing of its spread: the interval is then the value itself.
    """
    from scipy.stats import bootstrap

    median = float(np.median(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return Estimate(value=median, low=median, high=median)
    drawn = bootstrap(
        (np.asarray(values),),
        np.median,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(value=median, low=float(drawn.low), high=float(drawn.high))


def paired_ratio(rates: dict[int, float], others: dict[int, float]) -> Estimate | None:
    """The ratio of two trials' rates, block by block of the same round; None without a pair."""
    pairs = [rates[turn] / others[turn] for turn in sorted(rates.keys() & others.keys())]
    return median_interval(pairs) if pairs else None
