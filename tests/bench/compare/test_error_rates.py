"""Comparisons of runs err as often as stated: simulated, with a seed.

`python tests/bench/compare/test_error_rates.py` prints the tables of docs/ci.md.
"""

import itertools
import sys

import numpy as np
import pytest

from feedbench.bench.analysis.compare import ERROR_RATE
from feedbench.bench.compare.outcome import (
    independent,
    measured,
    outcomes,
    paired,
    paired_rates,
    surely_slower,
)

SPREADS = (0.01, 0.03, 0.1)
RUNS = 150  # simulated per test
BY_CHANCE = 3 * (ERROR_RATE / RUNS) ** 0.5


def drawn(random, spread, shape, walk=0.0):
    """Return logarithms of rates [..., blocks] with a drift that walks by `walk` per block."""
    drift = np.cumsum(random.normal(0, walk, shape), axis=-1) if walk else 0.0
    return random.normal(0, spread, shape) + drift


def two_runs(random, spread, pairs, blocks, ratio=1.0, walk=0.0):
    """Return the ratios of all rates of two runs; in each, all rates share its drift."""
    logs = random.normal(0, spread, (2, pairs, blocks))
    logs += drawn(random, 0, (2, 1, blocks), walk)
    base, other = by_round(logs[0]), by_round(logs[1] + np.log(ratio))
    return [independent(b, a) for a, b in zip(base, other, strict=True)]


def by_round(logs):
    """Return measured rates from logarithms [rates, blocks]."""
    return [measured(dict(enumerate(rates))) for rates in np.exp(logs).tolist()]


def relative(random, spread, pairs, blocks, ratio=1.0, walk=0.0):
    """The same as `two_runs` for multiples of the first of the rates, which both runs have."""
    logs = random.normal(0, spread, (2, 1 + pairs, blocks))
    logs += drawn(random, 0, (2, 1, blocks), walk)
    logs[1, 1:] += np.log(ratio)
    runs = []
    for run in logs:
        reference, *rates = by_round(run)
        runs.append([measured(paired_rates(rate, reference)) for rate in rates])
    return [independent(b, a) for a, b in zip(*runs, strict=True)]


def one_run(random, spread, pairs, blocks, ratio=1.0, walk=0.0, halved=0.0):
    """Return the ratios of rates to one old rate, all of the same rounds of one run.

    A share of all blocks, `halved`, has half the rate.
    """
    logs = random.normal(0, spread, (1 + pairs, blocks)) + drawn(random, 0, (1, blocks), walk)
    logs[1:] += np.log(ratio)
    logs[random.random(logs.shape) < halved] -= np.log(2)
    old, *new = (dict(enumerate(rates)) for rates in np.exp(logs).tolist())
    return [paired(rates, old) for rates in new]


def share_of(runs, compare, *arguments, word=None, **options):
    """Return the share of comparisons with at least one rate called `word`, or a difference."""
    random = np.random.default_rng([len(arguments), *map(int, arguments[1:])])
    wanted = {word} if word else {"slower", "faster"}
    found = (wanted & set(outcomes(compare(random, *arguments, **options))) for _ in range(runs))
    return sum(map(bool, found)) / runs


@pytest.mark.parametrize("compare", [two_runs, one_run, relative])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize(("pairs", "blocks"), [(1, 3), (10, 7)])
def test_equal_runs_are_called_different_in_at_most_5_percent(compare, spread, pairs, blocks):
    assert share_of(RUNS, compare, spread, pairs, blocks) <= ERROR_RATE + BY_CHANCE


@pytest.mark.parametrize("spread", [0.01, 0.1])
def test_runs_at_the_margin_are_called_slower_in_at_most_5_percent(spread):
    share = share_of(RUNS, two_runs, spread, 10, 7, ratio=0.97)
    assert share <= ERROR_RATE + BY_CHANCE


def test_of_20_pairs_of_equal_runs_at_most_one_is_called_slower():
    random = np.random.default_rng(0)
    for spread in SPREADS:
        words = [outcomes(two_runs(random, spread, 1, 7))[0] for _ in range(20)]
        assert words.count("slower") <= 1


@pytest.mark.parametrize(("spread", "blocks"), [(0.01, 4), (0.03, 7)])
def test_a_run_slowed_by_10_percent_is_named_in_at_least_19_of_20(spread, blocks):
    named = share_of(200, two_runs, spread, 1, blocks, ratio=0.9, word="slower")
    assert named >= 0.95


@pytest.mark.parametrize("compare", [one_run, relative])
def test_drift_that_both_share_fools_no_comparison_that_it_cancels_in(compare):
    assert share_of(RUNS, compare, 0.01, 3, 7, walk=0.03) <= ERROR_RATE + BY_CHANCE


def test_drift_between_two_runs_fools_their_comparison():
    """Why `bench --against` exists, and what the note below each comparison says."""
    assert share_of(RUNS, two_runs, 0.01, 1, 7, walk=0.03) > ERROR_RATE + BY_CHANCE


@pytest.mark.parametrize("halved", [0.05, 0.2])
@pytest.mark.parametrize(("pairs", "blocks"), [(1, 7), (2, 12), (10, 25)])
def test_blocks_of_half_the_rate_fool_no_comparison_of_one_run(halved, pairs, blocks):
    share = share_of(RUNS, one_run, 0.03, pairs, blocks, halved=halved)
    assert share <= ERROR_RATE + BY_CHANCE


def test_blocks_of_half_the_rate_hide_no_run_slowed_by_10_percent():
    named = share_of(200, one_run, 0.03, 1, 25, ratio=0.9, halved=0.03, word="slower")
    assert named >= 0.95


@pytest.mark.parametrize("compare", [two_runs, one_run])
def test_a_gate_fails_runs_at_its_limit_in_at_most_5_percent(compare):
    random = np.random.default_rng(1)
    failed = sum(any(surely_slower(compare(random, 0.02, 10, 7, 0.95), 0.05)) for _ in range(RUNS))
    assert failed / RUNS <= ERROR_RATE + BY_CHANCE


def test_a_gate_fails_runs_far_below_its_limit():
    random = np.random.default_rng(2)
    assert all(any(surely_slower(two_runs(random, 0.02, 4, 7, 0.8), 0.05)) for _ in range(50))


def main() -> None:
    """Print the tables of docs/ci.md."""
    _false_table()
    _power_table()
    _halved_table()
    _drift_table()


def _false_table() -> None:
    columns = list(itertools.product(SPREADS, (1, 5, 20)))
    rows = [
        (blocks, [share_of(2_000, two_runs, spread, pairs, blocks) for spread, pairs in columns])
        for blocks in (3, 5, 7, 10, 15)
    ]
    _print("False differences", [f"CV {s:.0%}, {p} rates" for s, p in columns], rows)


def _power_table() -> None:
    columns = list(itertools.product((two_runs, one_run), SPREADS))
    rows = [
        (
            blocks,
            [
                share_of(2_000, compare, spread, 1, blocks, ratio=0.9, word="slower")
                for compare, spread in columns
            ],
        )
        for blocks in (3, 5, 7, 10, 15, 20)
    ]
    titles = {two_runs: "compare", one_run: "--against"}
    _print("10 % slower", [f"{titles[c]}, CV {s:.0%}" for c, s in columns], rows)


def _halved_table() -> None:
    columns = list(itertools.product((1.0, 0.9), (0.05, 0.1, 0.2)))
    rows = [
        (
            blocks,
            [
                share_of(2_000, one_run, 0.03, 1, blocks, ratio=ratio, halved=halved)
                for ratio, halved in columns
            ],
        )
        for blocks in (7, 12, 15, 20, 25)
    ]
    titles = {1.0: "equal", 0.9: "10 % slower"}
    _print("Halved blocks", [f"{titles[r]}, {h:.0%} halved" for r, h in columns], rows)


def _drift_table() -> None:
    columns = list(itertools.product((two_runs, relative, one_run), (0.003, 0.01, 0.03)))
    rows = [
        (
            blocks,
            [share_of(2_000, compare, 0.01, 1, blocks, walk=walk) for compare, walk in columns],
        )
        for blocks in (5, 7, 15)
    ]
    titles = {two_runs: "compare", relative: "--relative-to", one_run: "--against"}
    _print("Drift", [f"{titles[c]}, {w:.1%} per block" for c, w in columns], rows)


def _print(title, columns, rows) -> None:
    lines = [["blocks", *columns], ["---"] * (1 + len(columns))]
    lines += [[str(blocks), *(f"{share:.1%}" for share in shares)] for blocks, shares in rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    sys.stdout.write(f"{title}\n\n{text}\n\n")


if __name__ == "__main__":
    main()
