"""Simulated blocks with known rates: how they vary, drift, and are slowed down."""

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np

SLOWER = 0.7  # rate of a block that something else on the machine slows down


@dataclass(frozen=True)
class Noise:
    """How the rates of blocks vary.

    Attributes:
        spread: standard deviation of a block's logarithm, about the coefficient of variation.
        drift: of the machine, shared by all trials: "none", "line" or "walk".
        slow: share of the blocks that run at `SLOWER` of their rate.
    """

    spread: float
    drift: str = "none"
    slow: float = 0.0

    def draw(self, random, runs, trials, blocks):
        """Return logarithms of rates [runs, trials, blocks], and of their true medians [runs]."""
        logs, drift = self.draw_with_drift(random, runs, trials, blocks)
        return logs, drift.mean(axis=(1, 2)) + true_median(self)

    def draw_with_drift(self, random, runs, trials, blocks):
        """Return logarithms of rates [runs, trials, blocks], and the drift [runs, 1, blocks]."""
        logs = random.normal(0, self.spread, (runs, trials, blocks))
        logs += np.log(SLOWER) * (random.random(logs.shape) < self.slow)
        drift = self._drift(random, runs, blocks)
        return logs + drift, drift

    def _drift(self, random, runs, blocks):
        if self.drift == "line":
            return np.linspace(-0.1, 0.1, blocks) * random.choice([-1, 1], (runs, 1, 1))
        steps = random.normal(0, 0.03 if self.drift == "walk" else 0, (runs, 1, blocks))
        return np.cumsum(steps, axis=2)


@cache
def true_median(noise):
    """Return the logarithm of the median rate of infinitely many blocks without drift."""
    random = np.random.default_rng(0)
    logs = random.normal(0, noise.spread, 10**6)
    return np.median(logs + np.log(SLOWER) * (random.random(10**6) < noise.slow))


def advantages(logs):
    """Return the median by which each trial is ahead of each other [runs, trials, trials].

    Each pair once, by sorting: `np.median` takes several times as long for so few blocks.

    Args:
        logs: logarithms of rates [runs, trials, blocks].
    """
    runs, trials, blocks = logs.shape
    one, other = np.triu_indices(trials, 1)
    apart = np.sort(logs[:, one] - logs[:, other], axis=2)
    ahead = (apart[..., (blocks - 1) // 2] + apart[..., blocks // 2]) / 2
    found = np.zeros((runs, trials, trials))
    found[:, one, other], found[:, other, one] = ahead, -ahead
    return found


SPREADS, SLOW = (0.01, 0.03, 0.1), (0.0, 0.05, 0.2)
NOISES = [Noise(*fields) for fields in itertools.product(SPREADS, ("none", "line", "walk"), SLOW)]
