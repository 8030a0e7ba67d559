"""Intervals cover the truth, and comparisons err, as often as stated: simulated, with a seed.

`python tests/bench/analysis/test_coverage.py` prints the tables of docs/statistics.md.
"""

import itertools
import sys
from bisect import bisect_left

import numpy as np
import pytest
from simulated_benches import falsely_slower, same_but_one
from simulated_blocks import NOISES, SLOW, SPREADS, Noise, advantages

from feedbench.bench.analysis.compare import (
    ERROR_RATE,
    MARGIN,
    adjusted_p_values,
    compare_with_fastest,
    comparisons_of_all,
    find_fastest,
    paired_p_values,
)
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import (
    MIN_BLOCKS,
    independent_ratio,
    interval_ends,
    median_interval,
    serial_interval,
)
from feedbench.bench.training.rate_check import LEAST_RATES

BLOCKS = range(MIN_BLOCKS, 16)
TRIALS = (2, 3, 5, 10, 20)
PROMISED = 0.94  # least coverage of an interval


def rate_coverage(noise, blocks, runs):
    """Return how often the interval of a single trial's rate contains the true median."""
    logs, truth = noise.draw(np.random.default_rng(blocks), runs, 1, blocks)
    return covered(np.exp(logs[:, 0]), np.exp(truth))


def ratio_coverage(noise, blocks, runs):
    """Return how often the interval of the ratio of two equal trials contains 1."""
    logs, _ = noise.draw(np.random.default_rng(blocks), runs, 2, blocks)
    return covered(np.exp(logs[:, 0] - logs[:, 1]), 1.0)


def covered(values, truth):
    low, high = interval_ends(values)
    return np.mean((low <= truth) & (truth <= high))


def decide(logs):
    """Return the fastest trial of each run, and which trials are called slower than it.

    Does what `compare_with_fastest` does, for many runs at once.
    """
    runs, trials, _ = logs.shape
    apart = advantages(logs)
    apart[:, range(trials), range(trials)] = np.inf
    fastest = apart.min(axis=2).argmax(axis=1)
    others = np.arange(trials) != fastest[:, None]
    ratios = np.exp(logs - logs[np.arange(runs), fastest][:, None])[others]
    ratios = ratios.reshape(runs, trials - 1, -1)
    p_values = adjusted_p_values(paired_p_values(ratios, MARGIN), comparisons_of_all)
    slower = np.zeros((runs, trials), bool)
    slower[others] = ((p_values <= ERROR_RATE) & (interval_ends(ratios)[1] < 1 - MARGIN)).ravel()
    return fastest, slower


def family_error(noise, trials, blocks, runs, speeds=None):
    """Return how often at least one trial is called slower than one that it is the same as."""
    random = np.random.default_rng([trials, blocks])
    speeds = np.zeros(trials) if speeds is None else speeds
    logs, _ = noise.draw(random, runs, trials, blocks)
    fastest, slower = decide(logs + speeds[:, None])
    return np.mean(falsely_slower(slower, speeds, fastest))


@pytest.mark.parametrize("blocks", BLOCKS)
def test_intervals_contain_the_truth_at_least_as_often_as_promised(blocks):
    for noise in NOISES:
        for coverage in (rate_coverage, ratio_coverage):
            assert coverage(noise, blocks, 4_000) > PROMISED - 0.012, (coverage, noise)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("trials", TRIALS)
def test_trials_within_the_margin_are_called_slower_in_at_most_5_percent_of_runs(trials, blocks):
    for noise in (Noise(0.03, "walk"), Noise(0.01, "walk", 0.05)):
        runs = 10_000 // trials
        by_chance = 4 * (ERROR_RATE / runs) ** 0.5
        for speeds in (np.zeros(trials), same_but_one(trials)):
            error = family_error(noise, trials, blocks, runs, speeds)
            assert error < ERROR_RATE + by_chance, (noise, speeds)


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_no_noise_raises_the_error_at_the_margin(noise):
    for trials, blocks, runs in ((2, 3, 4_000), (2, 7, 4_000), (5, 5, 1_500), (20, 15, 200)):
        by_chance = 4 * (ERROR_RATE / runs) ** 0.5
        error = family_error(noise, trials, blocks, runs, same_but_one(trials))
        assert error < ERROR_RATE + by_chance, (trials, blocks)


@pytest.mark.parametrize("blocks", [5, 7, 15])
def test_trials_that_are_slower_do_not_raise_the_error_among_the_equal_ones(blocks):
    for equal, gap in ((2, 0.2), (5, 0.05), (5, 0.5)):
        speeds = np.where(np.arange(10) < equal, 0, -gap)
        assert family_error(Noise(0.02), 10, blocks, 1_000, speeds) < ERROR_RATE + 0.021


def test_many_runs_at_once_are_decided_like_single_ones():
    logs, _ = Noise(0.03, "walk", 0.1).draw(np.random.default_rng(5), 40, 6, 7)
    logs -= 0.05 * np.arange(6)[:, None]
    fastest, slower = decide(logs)
    assert 0 < slower.sum() < slower.size
    for run, trials in enumerate(np.exp(logs)):
        rates = {index: dict(enumerate(values)) for index, values in enumerate(trials.tolist())}
        name, comparisons = compare_with_fastest(rates)
        assert name == find_fastest(rates) == fastest[run]
        called = [index for index, one in comparisons.items() if one.outcome == "slower"]
        assert called == np.flatnonzero(slower[run]).tolist()


def rate_checks(spread, epochs, true_ratio, runs=500):
    """Return how often a training is told that it met and that it missed its rate."""
    random = np.random.default_rng(epochs)
    predicted = _estimates(random.normal(0, spread, (runs, 7)), median_interval)
    achieved = _estimates(np.log(true_ratio) + random.normal(0, spread, (runs, epochs)))
    ratios = [independent_ratio(*pair) for pair in zip(achieved, predicted, strict=True)]
    met = np.mean([ratio.lies_above(1 - MARGIN) for ratio in ratios])
    return met, np.mean([ratio.lies_below(1 - MARGIN) for ratio in ratios])


def _estimates(logs, interval=serial_interval) -> list[Estimate]:
    return [interval(values) for values in np.exp(logs).tolist()]


def correlated(random, runs, count, spread, correlation):
    """Return logarithms of rates [runs, count], each like its neighbor."""
    logs = random.normal(0, spread, (runs, count))
    for index in range(1, count):
        logs[:, index] *= (1 - correlation**2) ** 0.5
        logs[:, index] += correlation * logs[:, index - 1]
    return logs


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5, 0.7])
def test_parts_of_epochs_that_resemble_their_neighbors_rarely_mislead(correlation):
    random, runs = np.random.default_rng(1), 400
    logs = correlated(random, runs, LEAST_RATES, 0.03, correlation)
    covers = [one.low <= 1 <= one.high for one in _estimates(logs)]
    assert np.mean(covers) > 0.86
    predicted = _estimates(random.normal(0, 0.03, (runs, 12)), median_interval)
    pairs = zip(_estimates(np.log(1 - MARGIN) + logs), predicted, strict=True)
    ratios = [independent_ratio(*pair) for pair in pairs]
    assert np.mean([ratio.lies_above(1 - MARGIN) for ratio in ratios]) < 0.05
    assert np.mean([ratio.lies_below(1 - MARGIN) for ratio in ratios]) < 0.05


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("epochs", [3, 5, 9, LEAST_RATES])
def test_a_training_at_the_limit_is_rarely_told_that_it_met_or_missed(spread, epochs):
    met, missed = rate_checks(spread, epochs, 1 - MARGIN)
    assert met < 0.025 + 0.025
    assert missed < 0.025 + 0.025


def main() -> None:
    """Print the tables of docs/statistics.md."""
    _table("Coverage", "blocks", BLOCKS, _coverage_columns())
    _table("False comparisons", "blocks", BLOCKS, _error_columns())
    _table("Smallest difference", "blocks", (3, 5, 7, 10, 15), _power_columns())
    _table("Luck of the winner", "trials", (2, 5, 10, 14, 20), _luck_columns())
    _table("Rate check", "true ratio", (1.05, 1.0, 0.97, 0.95, 0.9), _check_columns())


def _coverage_columns():
    for slow in SLOW:
        noises = [noise for noise in NOISES if noise.slow == slow]
        for name, coverage in (("rate", rate_coverage), ("ratio", ratio_coverage)):

            def least(blocks, noises=noises, coverage=coverage):
                return f"{min(coverage(noise, blocks, 10_000) for noise in noises):.1%}"

            yield f"{name}, {slow:.0%} slow", least


def _error_columns():
    for trials in TRIALS:
        noises = [Noise(0.03, "walk"), Noise(0.01, "walk", 0.05)]

        def most(blocks, trials=trials, noises=noises):
            runs = 20_000 // trials
            speeds = same_but_one(trials)
            errors = (family_error(noise, trials, blocks, runs, speeds) for noise in noises)
            return f"{max(errors):.1%}"

        yield f"{trials} trials", most


def _power_columns():
    for trials in (2, 7, 14):
        for spread in (0.01, 0.03):

            def smallest(blocks, trials=trials, spread=spread):
                return f"{smallest_difference(spread, trials, blocks):.0%}"

            yield f"{trials} trials, CV {spread:.0%}", smallest


def smallest_difference(spread, trials, blocks):
    """Return how much slower all others must be, to be called slower in 80 % of runs."""
    logs, _ = Noise(spread).draw(np.random.default_rng(1), 300, trials, blocks)

    def found(percent):
        speeds = np.where(np.arange(trials) == 0, 0, np.log1p(-percent / 100))
        return decide(logs + speeds[:, None])[1][:, 1:].mean()

    return (1 + bisect_left(range(1, 100), 0.8, key=found)) / 100


def _luck_columns():
    for spread, blocks in itertools.product(SPREADS, (5, 7)):

        def luck(trials, spread=spread, blocks=blocks):
            logs, _ = Noise(spread).draw(np.random.default_rng(2), 2_000, trials, blocks)
            fastest = decide(logs)[0]
            rates = np.median(np.exp(logs[np.arange(2_000), fastest]), axis=1)
            return f"+{rates.mean() - 1:.1%}"

        yield f"CV {spread:.0%}, {blocks} blocks", luck


def _check_columns():
    for spread, epochs in itertools.product(SPREADS, (3, 9, LEAST_RATES)):

        def check(true_ratio, spread=spread, epochs=epochs):
            return "{:.0%} / {:.0%}".format(*rate_checks(spread, epochs, true_ratio))

        yield f"CV {spread:.0%}, {epochs} parts", check


def _table(title, first, rows, columns) -> None:
    columns = list(columns)
    lines = [[first, *(name for name, _ in columns)], ["---"] * (1 + len(columns))]
    lines += [[str(row), *(value(row) for _, value in columns)] for row in rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    sys.stdout.write(f"{title}\n\n{text}\n\n")


if __name__ == "__main__":
    main()
