"""Medians with bootstrap intervals, of rates and of ratios of paired blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feedbench.bench.analysis.estimate import Estimate

CONFIDENCE = 0.95
_RESAMPLES = 9_999


def median_interval(values: Sequence[float]) -> Estimate:
    """Return the median with its percentile bootstrap interval; the result is reproducible.

    A single value, or equal values, give an interval of width zero.
    """
    from scipy.stats import bootstrap

    median = float(np.median(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return Estimate(value=median, low=median, high=median)
    interval = bootstrap(
        (np.asarray(values),),
        np.median,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(value=median, low=float(interval.low), high=float(interval.high))


def paired_ratio(rates: dict[int, float], reference: dict[int, float]) -> Estimate | None:
    """Return the median ratio of two trials' rates over blocks of the same round.

    Args:
        rates: images per second, by the index of the round.
        reference: the rates to divide by.

    Returns:
        None if no round has a block of both.
    """
    rounds = sorted(rates.keys() & reference.keys())
    ratios = [rates[index] / reference[index] for index in rounds]
    return median_interval(ratios) if ratios else None
