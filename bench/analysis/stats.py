"""Medians with bootstrap intervals, of rates and of ratios of paired blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
_RESAMPLES = 9_999


class Interval(NamedTuple):
    """A median and the ends of its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the value lies within, ends included."""
        return self.low <= value <= self.high


def median_interval(values: Sequence[float]) -> Interval:
    """The median and its percentile bootstrap interval; repeatable.

    One value alone says nothing of its spread: the interval is then the value itself.
    """
    from scipy.stats import bootstrap

    median = float(np.median(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return Interval(median, median, median)
    drawn = bootstrap(
        (np.asarray(values),),
        np.median,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(median, float(drawn.low), float(drawn.high))


def paired_ratio(rates: dict[int, float], others: dict[int, float]) -> Interval | None:
    """The ratio of two trials' rates, block by block of the same round; None without a pair."""
    pairs = [rates[turn] / others[turn] for turn in sorted(rates.keys() & others.keys())]
    return median_interval(pairs) if pairs else None
