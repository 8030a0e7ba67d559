"""Paired blocks decide a race, early only if all pairs agree."""

import pytest

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import MOST_BLOCKS, Race, outcome_of

TURBO, OTHER = Choice(loader="turbo"), Choice(loader="turbo", settings={"prefetch": 0})


@pytest.mark.parametrize(
    ("rates", "reference", "expected"),
    [
        ({0: 1.0}, {0: 9.0}, "unfinished"),  # one pair is never enough
        ({0: 1.0, 1: 1.0}, {0: 2.0, 1: 1.2}, "slower"),
        ({0: 1.0, 1: 1.0}, {0: 2.0, 1: 1.02}, "unfinished"),
        ({0: 2.0, 1: 1.2}, {0: 1.0, 1: 1.0}, "faster"),
        ({0: 1.0, 1: 1.0}, {2: 2.0, 3: 2.0}, "unfinished"),  # no common round
    ],
)
def test_two_pairs_decide_only_if_both_differ_clearly(rates, reference, expected):
    assert outcome_of(rates, reference)[0] == expected


def test_after_the_last_block_the_interval_decides():
    reference = dict.fromkeys(range(MOST_BLOCKS), 1.0)
    noisy = {index: 1 + 0.1 * (-1) ** index for index in range(MOST_BLOCKS)}
    assert outcome_of(noisy, reference)[0] == "tie"
    faster = {index: 1.03 + 0.001 * index for index in range(MOST_BLOCKS)}
    assert outcome_of(faster, reference)[0] == "faster"
    assert outcome_of(reference, faster)[0] == "slower"


def test_a_ratio_that_stays_within_one_percent_is_a_tie_after_three_pairs():
    """For example if both keep an accelerator busy."""
    rates = {0: 1000.0, 1: 1001.0, 2: 999.0}
    assert outcome_of(rates, dict.fromkeys(rates, 1000.0))[0] == "tie"
    assert outcome_of(rates, dict.fromkeys(rates, 970.0))[0] == "unfinished"


def race(ratio):
    race = Race([TURBO, OTHER])
    for index in range(2):
        race.add(TURBO, index, 100.0)
        race.add(OTHER, index, 100.0 * ratio)
    return race


def test_a_finding_holds_ratio_and_number_of_pairs():
    finding = race(1.5).finding(OTHER, TURBO, "prefetch", "")
    assert (finding.outcome, finding.pairs, finding.reason) == ("faster", 2, "")
    assert finding.ratio.value == pytest.approx(1.5)


def test_a_finding_that_stayed_unfinished_is_a_tie():
    assert race(1.02).finding(OTHER, TURBO, "prefetch", "").outcome == "tie"


@pytest.mark.parametrize(("ratio", "outcome"), [(1.5, "refused"), (0.5, "slower")])
def test_only_a_configuration_that_might_win_is_refused(ratio, outcome):
    assert race(ratio).finding(OTHER, TURBO, "prefetch", "other pixels").outcome == outcome


def test_a_failure_is_reported_with_its_reason():
    failed = race(1.5)
    assert not failed.add(OTHER, 2, "out of memory")
    finding = failed.finding(OTHER, TURBO, "prefetch", "")
    assert (finding.outcome, finding.reason) == ("failed", "out of memory")
