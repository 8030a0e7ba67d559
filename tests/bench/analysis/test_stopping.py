"""A bench ends early without more errors than one that times all blocks: simulated, with a seed.

`python tests/bench/analysis/test_stopping.py` prints the tables of docs/statistics.md.
"""

import sys

import numpy as np
import pytest
from simulated_benches import falsely_slower, run_to_the_end, same_but_one
from simulated_blocks import NOISES, Noise, true_median

from feedbench.bench.analysis.compare import ERROR_RATE
from feedbench.bench.analysis.stopping import early_stop, judge, judged_after
from feedbench.bench.analysis.summary import summarize
from feedbench.bench.plan.plan import Suite, Timing, make_plan
from feedbench.bench.record import SamePixels, Stopped
from feedbench.bench.trials.early_stop import Judgement

PROMISED = 0.94  # least coverage of an interval
ROUNDS = Timing().blocks
EQUAL = (
    Noise(0.01),
    Noise(0.03, "walk"),
    Noise(0.1),
    Noise(0.01, "walk", 0.05),
    Noise(0.03, "line", 0.2),
)
STEADY = [100.0, 101, 99, 102, 100, 101]
OTHER_PIXELS = SamePixels(
    reference="turbo", tolerance=1.0, worst_mean=9.0, within=False, allowed=False
)


def simulated(noise, speeds, runs, rounds=ROUNDS, seed=0):
    """Return benches that may end early, and the drift of their machine."""
    random = np.random.default_rng([seed, len(speeds), rounds])
    logs, drift = noise.draw_with_drift(random, runs, len(speeds), rounds)
    return run_to_the_end(logs + np.asarray(speeds)[:, None]), drift


def false_share(noise, speeds, runs, rounds=ROUNDS):
    """Return how often any trial is called slower than one that it is the same as."""
    speeds = np.asarray(speeds)
    ended, _ = simulated(noise, speeds, runs, rounds)
    return np.mean(falsely_slower(ended.slower, speeds, ended.fastest))


def coverage(noise, speeds, runs, rounds=ROUNDS):
    """Return the share of intervals, of rates and of ratios, that contain the truth."""
    speeds = np.asarray(speeds)
    ended, drift = simulated(noise, speeds, runs, rounds, seed=1)
    return ended.covered(drift, true_median(noise), speeds), ended.ratio_covered(speeds)


@pytest.mark.parametrize(
    ("rounds", "looks"),
    [(1, (1,)), (5, (5,)), (7, (4, 7)), (9, (4, 6, 9)), (15, (4, 6, 9, 15)), (20, (4, 6, 9, 20))],
)
def test_looks_become_rarer_and_the_last_is_at_the_end(rounds, looks):
    assert judged_after(rounds) == looks


@pytest.mark.parametrize("trials", [2, 3, 5, 10, 20])
@pytest.mark.parametrize("rounds", [7, 15])
def test_trials_within_the_margin_are_called_slower_in_at_most_5_percent_of_benches(trials, rounds):
    for noise in EQUAL:
        runs = 6_000 // trials
        by_chance = 4 * (ERROR_RATE / runs) ** 0.5
        for speeds in (np.zeros(trials), same_but_one(trials)):
            assert false_share(noise, speeds, runs, rounds) < ERROR_RATE + by_chance, noise


def test_trials_that_are_stopped_do_not_raise_the_error_among_those_that_are_left():
    for equal, gap in ((2, 0.2), (5, 0.05), (5, 0.5)):
        speeds = np.where(np.arange(10) < equal, 0, -gap)
        assert false_share(Noise(0.02), speeds, 800) < ERROR_RATE + 0.025


@pytest.mark.parametrize("gap", [0.0, 0.02, 0.05, 0.12])
def test_intervals_contain_the_truth_although_the_blocks_decided_how_many_there_are(gap):
    for noise in NOISES:
        for trials in (2, 6):
            shares = coverage(noise, -gap * np.arange(trials), 3_000 // trials)
            assert min(shares) > PROMISED - 0.02, (noise, trials, shares)


@pytest.mark.parametrize(("spread", "most"), [(0.01, 4.5), (0.03, 7.5)])
def test_eight_trials_10_percent_apart_take_few_rounds(spread, most):
    ended, _ = simulated(Noise(spread, "walk"), np.log(0.9) * np.arange(8), 400)
    assert ended.rounds.max(axis=1).mean() < most
    assert (ended.fastest == 0).mean() > 0.99


def test_many_benches_at_once_end_like_single_ones(trial):
    speeds = [0.0, 0.0, -0.04, -0.08, -0.3]
    ended, _ = simulated(Noise(0.02, "walk", 0.1), speeds, 40)
    assert len({*ended.rounds.ravel().tolist()}) > 2
    assert 0 < ended.out.sum() < ended.out.size
    for run in range(40):
        rounds, trials = one_bench(ended.looks, np.exp(ended.logs[run]), trial)
        assert rounds == ended.rounds[run].tolist()
        summary = summarize(trials).trials
        slower = [not one.tied_with_best and not one.undecided for one in summary]
        assert slower == ended.slower[run].tolist()


def one_bench(looks, rates, trial):
    """Return the number of rounds of each trial, and their records, of one bench."""
    trials = [trial("turbo", [], judged_after=list(looks)) for _ in rates]
    for n in looks:
        for index, one in enumerate(trials):
            if one.stopped is None:
                timed = trial("turbo", (1e6 * rates[index][:n]).tolist())
                trials[index] = one.model_copy(update={"blocks": timed.blocks})
        judgement = judge(trials)
        if judgement.is_decided or n == looks[-1]:
            break
        for index in judgement.slower_than:
            stop = Stopped(rounds=n, slower_than="a faster one")
            trials[index] = trials[index].model_copy(update={"stopped": stop})
    return [len(one.blocks) for one in trials], trials


def test_a_trial_that_is_out_stays_slower_than_whoever_is_fastest_later(trial):
    looks = {"judged_after": [4, 6, 9, 15]}
    out = trial("keras_pil", [90, 91, 90, 91], stopped=Stopped(rounds=4, slower_than="x"), **looks)
    rivals = [trial("turbo", STEADY, **looks), trial("tf_data", STEADY[::-1], **looks)]
    summary = summarize([out, *rivals])
    slower, *others = summary.trials
    assert (slower.tied_with_best, slower.undecided) == (False, False)
    assert all(one.tied_with_best for one in others)
    assert summary.judged_after == [4, 6, 9, 15]


def test_intervals_of_a_bench_that_may_end_early_are_wider(trial):
    rates, other = STEADY, [80.0, 82, 79, 80, 81, 80]
    one, early = (
        summarize([trial("turbo", rates, **looks), trial("keras_pil", other, **looks)]).trials[1]
        for looks in ({}, {"judged_after": [4, 6]})
    )
    assert early.images_per_second.low < one.images_per_second.low
    assert early.ratio_to_best.high > one.ratio_to_best.high
    assert early.images_per_second.value == one.images_per_second.value


def test_nothing_is_decided_without_enough_blocks(trial):
    looks = {"judged_after": [4, 15]}
    few = [trial("turbo", STEADY[:2], **looks), trial("keras_pil", [50, 51], **looks)]
    assert (judge(few).slower_than, judge(few).is_decided) == ({}, False)


@pytest.mark.parametrize("other", [{"error": "crashed"}, {"pixels": OTHER_PIXELS}, {"augment": {}}])
def test_a_bench_with_a_single_ranked_trial_times_all_blocks(trial, other):
    looks = {"judged_after": [4, 6, 9, 15]}
    trials = [trial("turbo", STEADY, **looks), trial("keras_pil", STEADY, **looks, **other)]
    for ranked in (trials, trials[1:]):
        assert judge(ranked) == Judgement(slower_than={}, is_decided=False)


def test_a_single_trial_that_others_were_stopped_for_is_decided(trial):
    looks = {"judged_after": [4, 6, 9, 15]}
    out = trial("keras_pil", [50], stopped=Stopped(rounds=4, slower_than="turbo"), **looks)
    assert judge([trial("turbo", STEADY, **looks), out]).is_decided


def test_a_trial_within_the_margin_is_decided_but_not_stopped(trial):
    looks = {"judged_after": [4, 6, 9, 15]}
    near = [98.0, 98.9, 97.1, 99.9, 98.0, 99.0]
    judgement = judge([trial("turbo", STEADY, **looks), trial("tf_data", near, **looks)])
    assert (judgement.slower_than, judgement.is_decided) == ({}, True)


@pytest.mark.parametrize(
    ("change", "stops"),
    [
        ({}, True),
        ({"trial": [{"loader": "turbo"}]}, False),
        ({"timing": {"early_stopping": False}}, False),
        ({"timing": {"blocks": 5}}, False),
        (
            {
                "trial": [
                    {"loader": "turbo"},
                    {"loader": "turbo", "augment": {}},
                    {"loader": "tf_data"},
                ]
            },
            False,
        ),
    ],
    ids=["default", "one loader", "all blocks", "few blocks", "augmentations"],
)
def test_a_bench_stops_early_if_it_chooses_between_loaders(change, stops):
    values = {"trial": [{"loader": "turbo"}, {"loader": "tf_data"}], **change}
    assert (early_stop(make_plan(Suite.model_validate(values))) is not None) == stops


NOISY = {
    "CV 1%": Noise(0.01),
    "CV 3%, drift": Noise(0.03, "walk"),
    "CV 10%": Noise(0.1),
    "CV 1%, drift, 5% slow": Noise(0.01, "walk", 0.05),
    "CV 3%, 20% slow": Noise(0.03, "line", 0.2),
}
APART = (0.0, 0.02, 0.05, 0.1, 0.2)


def main() -> None:
    """Print the tables of docs/statistics.md."""
    _print("False comparisons", "trials", (2, 3, 5, 10, 20), _false_cell)
    _print("Coverage", "apart by", APART, _coverage_cell)
    _print("Rounds", "apart by", APART, _rounds_cell)


def _false_cell(trials, noise):
    return f"{false_share(noise, same_but_one(trials), 20_000 // trials):.1%}"


def _coverage_cell(gap, noise):
    """Return the least coverage, of rates and ratios, of two trials and of eight."""
    shares = [coverage(noise, -gap * np.arange(trials), 16_000 // trials) for trials in (2, 8)]
    return f"{min(map(min, shares)):.1%}"


def _rounds_cell(gap, noise):
    """Return the rounds until the end, and the share of the blocks of a bench that has all."""
    ended, _ = simulated(noise, np.log1p(-gap) * np.arange(8), 500)
    last, share = ended.rounds.max(axis=1), ended.rounds.mean() / ROUNDS
    return f"{np.median(last):.0f} ({np.percentile(last, 90):.0f}); {share:.0%}"


def _print(title, first, rows, cell) -> None:
    lines = [[first, *NOISY], ["---"] * (1 + len(NOISY))]
    for row in rows:
        name = f"{row}" if isinstance(row, int) else f"{row:.0%}"
        lines.append([name, *(cell(row, noise) for noise in NOISY.values())])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    sys.stdout.write(f"{title}\n\n{text}\n\n")


if __name__ == "__main__":
    main()
