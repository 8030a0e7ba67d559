"""How often a search errs, and how often it finds what is faster: simulated, with a seed.

`python tests/bench/tune/test_search_errors.py` prints the tables of docs/statistics.md.
"""

import sys

import pytest
from simulated_searches import TURBO, FakeBench, outcomes, values_of_one_setting

NOISES = {  # spread of the blocks, and share of them that run at 0.7 of their rate
    "CV 1%": (0.01, 0.0),
    "CV 3%": (0.03, 0.0),
    "CV 10%": (0.1, 0.0),
    "CV 1%, 5% slow": (0.01, 0.05),
    "CV 3%, 20% slow": (0.03, 0.2),
}
ALTERNATIVES = (2, 5, 20)
GAINS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
FASTER = {"num_threads": 3}


def errs(noise, alternatives, seed):
    """Whether a search over equal values calls any of them faster."""
    spread, slow = noise
    with values_of_one_setting(alternatives):
        bench = FakeBench(lambda choice: 1000, spread, slow=slow, seed=seed)
        return "faster" in outcomes(bench.searched([TURBO])).values()


def finds(noise, gain, seed, alternatives=4):
    """Whether a search finds the only value that is faster."""
    spread, slow = noise

    def rule(choice):
        return 1000 * (1 + gain if choice.settings == FASTER else 1)

    with values_of_one_setting(alternatives):
        bench = FakeBench(rule, spread, slow=slow, seed=seed)
        return bench.searched([TURBO]).best.settings == FASTER


@pytest.mark.parametrize(("alternatives", "searches"), [(2, 200), (7, 100), (20, 60)])
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())
def test_at_most_five_percent_of_searches_among_equals_find_one_faster(
    noise, alternatives, searches
):
    assert sum(errs(noise, alternatives, seed) for seed in range(searches)) <= 0.05 * searches


def test_at_most_five_percent_of_whole_searches_among_equals_find_anything_faster(monkeypatch):
    monkeypatch.setattr("feedbench.loaders.contract.usable_cores", lambda: 2)
    benches = [FakeBench(lambda choice: 1000, 0.03, seed=seed) for seed in range(40)]
    assert sum("faster" in outcomes(bench.searched()).values() for bench in benches) <= 2


@pytest.mark.parametrize(("spread", "gain"), [(0.01, 0.05), (0.03, 0.1), (0.1, 0.5)])
def test_a_real_gain_is_found_among_equals(spread, gain):
    assert sum(finds((spread, 0.0), gain, seed) for seed in range(20)) >= 19


def main() -> None:
    """Print the tables of docs/statistics.md."""
    _print("equal values", ALTERNATIVES, "{}", errs, 200)
    _print("gain", GAINS, "{:.0%}", finds, 100)


def _print(title, rows, form, is_so, searches) -> None:
    lines = [[title, *NOISES], ["---"] * (1 + len(NOISES))]
    for row in rows:
        shares = [
            sum(is_so(noise, row, seed) for seed in range(searches)) / searches
            for noise in NOISES.values()
        ]
        lines.append([form.format(row), *map("{:.1%}".format, shares)])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    sys.stdout.write(f"{text}\n\n")


if __name__ == "__main__":
    main()
