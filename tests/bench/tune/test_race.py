"""Paired blocks settle a race, early only if they leave no doubt."""

import numpy as np
import pytest

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import CONFIRMATION_JUDGED_AFTER, JUDGED_AFTER, Race

BEST, OTHER, THIRD = (Choice(loader="turbo", settings={"prefetch": number}) for number in range(3))


def race(ratio, pairs=JUDGED_AFTER[0], *, noise=0.01, refusal="", **options):
    """A race of two after some pairs, judged after each."""
    race, random = Race(BEST, [OTHER], **options), np.random.default_rng(1)
    for index in range(pairs):
        if race.is_over:
            break
        rates = 100 * (1 + index) * random.normal(1, noise, 2)  # drift of whole rounds
        race.add(index, {str(BEST): rates[0], str(OTHER): rates[1] * ratio})
        race.judge(lambda choice: refusal)
    return race


def finding(race):
    (finding,) = race.findings("prefetch")
    return finding


@pytest.mark.parametrize(("ratio", "outcome"), [(1.5, "faster"), (0.6, "slower")])
def test_a_clear_difference_ends_a_race_at_the_first_look(ratio, outcome):
    found = finding(race(ratio, 20))
    assert (found.outcome, found.pairs) == (outcome, JUDGED_AFTER[0])
    assert found.ratio.value == pytest.approx(ratio, rel=0.05)


def test_fewer_pairs_than_the_first_look_tell_nothing():
    undecided = race(1.5, JUDGED_AFTER[0] - 1)
    assert not undecided.is_over
    assert finding(undecided).outcome == "cannot tell"
    assert undecided.candidate() is None


def test_a_race_ends_at_the_last_look_whatever_it_shows():
    undecided = race(1.0, 20, noise=0.05)
    assert undecided.is_over
    assert (finding(undecided).outcome, finding(undecided).pairs) == ("tie", JUDGED_AFTER[-1])


def test_a_ratio_that_stays_within_one_percent_is_a_tie_at_the_first_look():
    """For example if both keep an accelerator busy."""
    found = finding(race(1.0, 20, noise=0.0005))
    assert (found.outcome, found.pairs) == ("tie", JUDGED_AFTER[0])


def test_the_fastest_that_looks_faster_is_the_candidate():
    three = Race(BEST, [OTHER, THIRD])
    for index, noise in enumerate((1, 1.01, 0.99)):
        three.add(index, {str(BEST): 100, str(OTHER): 150 * noise, str(THIRD): 160 * noise})
        three.judge(lambda choice: "")
    assert three.is_over
    assert three.candidate() == THIRD
    assert race(0.9, 20).candidate() is None


@pytest.mark.parametrize(("ratio", "outcome"), [(1.5, "refused"), (0.5, "slower")])
def test_only_a_configuration_that_might_win_is_refused(ratio, outcome):
    refused = race(ratio, 20, refusal="other pixels")
    found = finding(refused)
    assert found.outcome == outcome
    assert found.reason == ("other pixels" if outcome == "refused" else "")
    assert refused.candidate() is None


def test_a_failure_is_reported_with_its_reason_and_its_pairs():
    failed = race(1.5, 2)
    failed.add(2, {str(BEST): 100.0, str(OTHER): "out of memory"})
    found = finding(failed)
    assert (found.outcome, found.reason, found.pairs) == ("failed", "out of memory", 2)
    assert failed.is_over
    assert failed.candidate() is None


def test_a_round_in_which_the_best_failed_is_no_pair():
    one = race(1.5, 2)
    one.add(2, {str(BEST): "killed", str(OTHER): 100.0})
    assert one.pairs == 2
    assert finding(one).pairs == 2


def test_a_confirming_race_ends_as_soon_as_the_candidate_is_not_ahead():
    options = {"judged_after": CONFIRMATION_JUDGED_AFTER, "confirms": True}
    assert finding(race(0.99, 20, noise=0.02, **options)).pairs == CONFIRMATION_JUDGED_AFTER[0]
    assert finding(race(1.5, 20, **options)).outcome == "faster"


def test_a_smaller_error_rate_asks_for_more_pairs():
    pairs = [
        finding(
            race(1.1, 20, noise=0.02, judged_after=CONFIRMATION_JUDGED_AFTER, error_rate=rate)
        ).pairs
        for rate in (0.05, 1e-6)
    ]
    assert pairs[0] < pairs[1]
