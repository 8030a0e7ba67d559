"""Simulated benches that end early: many runs at once, decided as `judge` and `summarize` do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from simulated_blocks import advantages

from feedbench.bench.analysis.compare import ERROR_RATE, MARGIN, paired_p_values
from feedbench.bench.analysis.stats import interval_ends
from feedbench.bench.analysis.stopping import judged_after
from feedbench.bench.analysis.winner import MIN_RATIO_TO_WIN

AT_MARGIN = np.log1p(-MARGIN)  # logarithm of the lowest rate that counts as the same as 1


def same_but_one(trials):
    """Return the speeds [trials] of one trial and of others that are just not slower than it."""
    return np.where(np.arange(trials) == 0, 0.0, AT_MARGIN)


def falsely_slower(slower, speeds, fastest):
    """Return which runs call a trial slower that is the same as their fastest [runs]."""
    same = speeds >= speeds[fastest][:, None] + AT_MARGIN - 1e-9
    return (slower & same).any(axis=1)


@dataclass(frozen=True)
class Ended:
    """How the benches ended; `runs` many, each of `trials`.

    Attributes:
        logs: logarithms of the rates [runs, trials, rounds]; those after the end were not timed.
        looks: numbers of rounds after which a bench is judged.
        rounds: in which each trial was timed [runs, trials].
        fastest: index of the fastest in each run, by the last look.
        slower: the trials that are called slower [runs, trials].
        out: the trials that were stopped before the others [runs, trials].
    """

    logs: np.ndarray
    looks: tuple[int, ...]
    rounds: np.ndarray
    fastest: np.ndarray
    slower: np.ndarray
    out: np.ndarray

    def covered(self, drift, center, speeds):
        """Return the share of intervals of a rate that contain the median rate of its rounds.

        Args:
            drift: of the machine [runs, 1, rounds].
            center: logarithm of the median rate without drift.
            speeds: logarithm of the rate of each trial, relative to that.
        """

        def values(runs, trials, n):
            truth = speeds[trials] + center + drift[runs, 0, :n].mean(axis=1)
            return self.logs[runs, trials, :n], truth

        return self._share(values, self.rounds, slice(None))

    def ratio_covered(self, speeds):
        """Return the share of intervals of the ratio to the first trial that contain the truth."""

        def values(runs, trials, n):
            ratios = self.logs[runs, trials, :n] - self.logs[runs, 0, :n]
            return ratios, (speeds - speeds[0])[trials]

        return self._share(values, np.minimum(self.rounds, self.rounds[:, :1]), slice(1, None))

    def _share(self, values, rounds, which):
        hits = []
        for n in self.looks:
            runs, trials = np.nonzero(rounds[:, which] == n)
            if runs.size:
                logs, truth = values(runs, trials + (which.start or 0), n)
                low, high = np.log(interval_ends(np.exp(logs), looks=len(self.looks)))
                hits.append((low <= truth) & (truth <= high))
        return np.concatenate(hits).mean()


def run_to_the_end(logs) -> Ended:
    """Stop many benches early.

    Args:
        logs: logarithms of the rates of all rounds [runs, trials, rounds].
    """
    looks = judged_after(logs.shape[2])
    runs, trials, _ = logs.shape
    rounds, out = np.zeros((runs, trials), int), np.zeros((runs, trials), bool)
    slower, fastest, going = out.copy(), np.zeros(runs, int), np.ones(runs, bool)
    for n in looks:
        (now,) = np.nonzero(going)
        rounds[now] = np.where(out[now], rounds[now], n)
        first, is_slower, misses, reaches = _look(logs[now, :, :n], ~out[now], len(looks))
        fastest[now], slower[now] = first, is_slower | out[now]
        is_decided = (is_slower | reaches | out[now]).all(axis=1)
        if n != looks[-1]:
            out[now] |= is_slower & misses
        going[now[is_decided]] = False
    return Ended(logs, looks, rounds, fastest, slower, out)


def _look(logs, alive, looks):
    """Return the fastest [runs], and who is slower, misses or reaches the rate to win."""
    runs, trials, _ = logs.shape
    apart = advantages(logs)
    apart[~np.broadcast_to(alive[:, None], apart.shape)] = np.inf  # against those that are out
    apart[:, range(trials), range(trials)] = np.inf
    fastest = np.where(alive, apart.min(axis=2), -np.inf).argmax(axis=1)
    ratios = np.exp(logs - logs[np.arange(runs), fastest][:, None])
    low, high = interval_ends(ratios, looks=looks)
    rivals = alive & (np.arange(trials) != fastest[:, None])
    p_values = _adjusted(
        np.where(rivals, paired_p_values(ratios, MARGIN), np.inf), rivals.sum(axis=1)
    )
    is_slower = rivals & (p_values <= ERROR_RATE / looks) & (high < 1 - MARGIN)
    return fastest, is_slower, high < MIN_RATIO_TO_WIN, ~rivals | (low > MIN_RATIO_TO_WIN)


def _adjusted(p_values, families):
    """Adjust families of different sizes at once, as `adjusted_p_values` does each."""
    order = np.argsort(p_values, axis=1)
    left = np.maximum(families[:, None] - np.arange(p_values.shape[1]), 0)
    stepped = np.take_along_axis(p_values, order, axis=1)
    stepped = np.where(left > 0, stepped, 1) * left * (left + 1) / 2
    stepped = np.minimum(1, np.maximum.accumulate(np.where(left > 0, stepped, 1), axis=1))
    return np.take_along_axis(stepped, np.argsort(order, axis=1), axis=1)
