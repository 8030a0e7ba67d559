"""Tests of where the logarithm of a ratio lies: against any limit, in either direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from feedbench.bench.analysis.stats import MIN_BLOCKS
from feedbench.bench.errors import RecordError

MIN_RANKED = 12  # pairs from which ranks are tested: fewer could not decide many comparisons


class LocationTest(Protocol):
    """A one-sided test of a logarithm, in both directions."""

    def p_below(self, limit: float) -> float:
        """Return the p-value of the claim that it is below a limit."""

    def p_above(self, limit: float) -> float:
        """Return the p-value of the claim that it is above a limit."""


@dataclass(frozen=True)
class StudentTest:
    """A t-test.

    Attributes:
        mean: of the logarithm.
        error: standard error of the mean.
        freedom: degrees of freedom.
    """

    mean: float
    error: float
    freedom: float

    def p_below(self, limit: float) -> float:
        """Return the p-value of the claim that the mean is below a limit."""
        return self._p(self.mean - limit)

    def p_above(self, limit: float) -> float:
        """Return the p-value of the claim that the mean is above a limit."""
        return self._p(limit - self.mean)

    def _p(self, distance: float) -> float:
        from scipy.special import stdtr

        if self.error == 0:
            return float(distance >= 0)
        return float(stdtr(self.freedom, distance / self.error))


@dataclass(frozen=True)
class SignedRankTest:
    """Wilcoxon's signed-rank test: a block of half the rate counts no more than any other.

    It assumes that values are as likely to lie above the middle as below, by any distance. The
    ratios of two equal trials in the same rounds do, whatever disturbs the machine.

    Attributes:
        values: logarithms, at least `MIN_RANKED`.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the values: with one that is not finite, no claim would have a p-value.

        Raises:
            RecordError: one is NaN or infinite.
        """
        for value in self.values:
            if not math.isfinite(value):
                raise RecordError(f"the logarithm of a ratio must be finite, got {value}")

    def p_below(self, limit: float) -> float:
        """Return the p-value of the claim that the middle is below a limit."""
        return self._p(limit, "less")

    def p_above(self, limit: float) -> float:
        """Return the p-value of the claim that the middle is above a limit."""
        return self._p(limit, "greater")

    def _p(self, limit: float, alternative: str) -> float:
        from scipy.stats import wilcoxon

        apart = np.array(self.values) - limit
        return float(wilcoxon(apart, alternative=alternative).pvalue) if apart.any() else 1.0


def location_test(ratios: Sequence[float]) -> LocationTest | None:
    """Return the test of paired ratios; None if they are fewer than `MIN_BLOCKS`.

    Raises:
        RecordError: one of them is no ratio of two rates.
    """
    for ratio in ratios:
        if not 0 < ratio < math.inf:
            raise RecordError(
                f"the ratio of two rates must be above 0 and finite, got {ratio}; leave out the "
                "round that it comes from"
            )
    if len(ratios) < MIN_BLOCKS:
        return None
    logs = np.log(ratios)
    if len(ratios) >= MIN_RANKED:
        return SignedRankTest(tuple(logs.tolist()))
    error = float(logs.std(ddof=1)) / math.sqrt(logs.size)
    return StudentTest(float(logs.mean()), error, logs.size - 1)
