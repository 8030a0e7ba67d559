"""Which trial is faster: the one place that decides, with a stated rate of errors.

A comparison is a paired t-test of the logarithms of the rates: blocks of the same round share
drift, which cancels. Several comparisons make more errors than one, so the p-values of a
family are adjusted together. The error rates of the decisions: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeVar

import numpy as np

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import MIN_BLOCKS, Array, Rates, paired_ratio, paired_ratios

# Two processes that do the same work differ by a few percent, by the placement of their memory and
# threads and by the load of the machine, which no interval from one process contains. Rates within
# this count as the same where a trial is chosen, two runs are compared, or a training is checked.
MARGIN = 0.03
ERROR_RATE = 0.05  # share of the families of comparisons with a false "faster" or "slower"

Outcome = Literal["faster", "slower", "tie", "cannot tell"]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """A trial compared with a reference.

    Attributes:
        ratio: rate ÷ rate of the reference over paired blocks; None without a pair.
        pairs: number of rounds in which both were timed.
        p_value: adjusted for the comparisons of its family.
        outcome: "tie" if the pairs do not show which is faster, in a bench by more than `MARGIN`;
            "cannot tell" if they are fewer than `MIN_BLOCKS`. A summary of a bench also says
            "cannot tell" of such a tie if the interval of its ratio lies beyond the margin.
    """

    ratio: Estimate | None
    pairs: int
    p_value: float
    outcome: Outcome


def compare(rates: Rates, reference: Rates, error_rate: float = ERROR_RATE) -> Comparison:
    """Compare two trials that were not chosen by these blocks.

    This also confirms a choice, if only rounds after it are given.

    Args:
        rates: images per second, by the index of the round.
        reference: of the trial to compare with.
        error_rate: share of comparisons of equal trials that may end as faster or slower.
    """
    return _comparison(rates, reference, _p_value(rates, reference), error_rate)


def compare_with_reference(
    trials: Mapping[Name, Rates], reference: Name, error_rate: float = ERROR_RATE
) -> dict[Name, Comparison]:
    """Compare all trials with one that was not chosen by these blocks.

    Args:
        trials: the rates of each trial, the reference included.
        reference: its name.
        error_rate: share of families of comparisons with at least one false outcome.

    Returns:
        A comparison for each trial but the reference.
    """
    return _compare_all(trials, reference, comparisons_with_one, error_rate)


def compare_with_fastest(
    trials: Mapping[Name, Rates], looks: int = 1
) -> tuple[Name, dict[Name, Comparison]]:
    """Find the fastest trial and compare all others with it, over the same blocks.

    Trials whose rates are within `MARGIN` are the same.

    Args:
        trials: the rates of each trial; none is empty.
        looks: how often these trials are compared, to decide whether to time more blocks. In at
            most `ERROR_RATE` of the runs any of these times has a false outcome.

    Returns:
        The name of the fastest, and a comparison for each other trial.
    """
    fastest = find_fastest(trials)
    rate = ERROR_RATE / looks
    return fastest, _compare_all(trials, fastest, comparisons_of_all, rate, looks, MARGIN)


def find_fastest(trials: Mapping[Name, Rates]) -> Name:
    """Return the trial that loses to no other in blocks of the same round.

    Trials with fewer than `MIN_BLOCKS` blocks are passed over if there are others. If each trial
    loses to one, that which loses least is returned.
    """
    enough = {name: rates for name, rates in trials.items() if len(rates) >= MIN_BLOCKS} or trials

    def least_advantage(name: Name) -> float:
        others = (rates for other, rates in enough.items() if other != name)
        return min((_advantage(enough[name], rates) for rates in others), default=1.0)

    return max(enough, key=least_advantage)


def _advantage(rates: Rates, other: Rates) -> float:
    """Return the ratio of two rates, not paired if no round has a block of both."""
    ratios = paired_ratios(rates, other)
    return median(ratios) if ratios else median(rates.values()) / median(other.values())


def comparisons_with_one(left: int) -> int:
    """Return the number of comparisons with a given trial, of which `left` are not decided."""
    return left


def comparisons_of_all(left: int) -> int:
    """Return the number of pairs among the fastest and the `left` trials that are not decided.

    The blocks that are compared have also chosen the fastest, so it might have been any of them.
    """
    return left * (left + 1) // 2


def _compare_all(
    trials: Mapping[Name, Rates],
    reference: Name,
    comparisons: Callable[[int], int],
    error_rate: float,
    looks: int = 1,
    margin: float = 0.0,
) -> dict[Name, Comparison]:
    others = {name: rates for name, rates in trials.items() if name != reference}
    raw = np.array([_p_value(rates, trials[reference], margin) for rates in others.values()])
    adjusted = adjusted_p_values(raw, comparisons).tolist()
    return {
        name: _comparison(rates, trials[reference], p_value, error_rate, looks, margin)
        for (name, rates), p_value in zip(others.items(), adjusted, strict=True)
    }


def adjusted_p_values(p_values: Array, comparisons: Callable[[int], int]) -> Array:
    """Return the p-values of a family, adjusted step by step from the smallest.

    Args:
        p_values: float64 `[..., n]`, one family along the last axis.
        comparisons: number of comparisons that still count when `left` are not decided.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979).
    """
    order = np.argsort(p_values, axis=-1)
    factors = [comparisons(left) for left in range(p_values.shape[-1], 0, -1)]
    stepped = np.take_along_axis(p_values, order, axis=-1) * np.array(factors, float)
    stepped = np.minimum(1, np.maximum.accumulate(stepped, axis=-1))
    return np.take_along_axis(stepped, np.argsort(order, axis=-1), axis=-1)


def paired_p_values(ratios: Array, margin: float = 0.0) -> Array:
    """Return the two-sided p-values of a t-test that rates are the same.

    Args:
        ratios: float64 `[..., n]`, rates ÷ rates of the reference in the same rounds.
        margin: how far from 1 the geometric mean of the ratios may be for that.

    Returns:
        float64 `[...]`.
    """
    from scipy.special import stdtr

    logs, n = np.log(ratios), ratios.shape[-1]
    mean, error = logs.mean(axis=-1), logs.std(axis=-1, ddof=1) / np.sqrt(n)
    inside = np.minimum(mean - np.log1p(-margin), np.log1p(margin) - mean)  # negative: beyond
    with np.errstate(divide="ignore", invalid="ignore"):  # ratios without any spread
        t = np.where(inside == 0, 0, inside / error)
    return np.asarray(np.minimum(1, 2 * stdtr(n - 1, t)))


def _p_value(rates: Rates, reference: Rates, margin: float = 0.0) -> float:
    ratios = paired_ratios(rates, reference)
    enough = len(ratios) >= MIN_BLOCKS
    return float(paired_p_values(np.array(ratios), margin)) if enough else 1.0


def _comparison(
    rates: Rates,
    reference: Rates,
    p_value: float,
    error_rate: float,
    looks: int = 1,
    margin: float = 0.0,
) -> Comparison:
    ratio = paired_ratio(rates, reference, looks=looks)
    pairs = len(rates.keys() & reference.keys())
    return Comparison(ratio, pairs, p_value, _outcome(ratio, pairs, margin, p_value <= error_rate))


def _outcome(ratio: Estimate | None, pairs: int, margin: float, differ: bool) -> Outcome:
    """Return the outcome; the interval must agree with the test."""
    if ratio is None or pairs < MIN_BLOCKS:
        return "cannot tell"
    if differ and ratio.lies_above(1 + margin):
        return "faster"
    return "slower" if differ and ratio.lies_below(1 - margin) else "tie"
