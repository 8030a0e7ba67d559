"""Rounds are timed in a seeded order, and repeated from the record of an earlier search."""

import pytest

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.rounds import Rounds

A, B, C = (Choice(loader="turbo", settings={"prefetch": number}) for number in range(3))


class Timer:
    def __init__(self):
        self.timed = []

    def __call__(self, choice, index):
        self.timed.append((str(choice), index))
        return 100.0


def test_a_round_times_each_choice_once():
    timer = Timer()
    rounds = Rounds(timer, {}, seed=0)
    assert rounds.time([A, B]) == (0, {str(A): 100.0, str(B): 100.0})
    assert rounds.time([A])[0] == 1
    assert sorted(timer.timed) == [(str(A), 0), (str(A), 1), (str(B), 0)]


def test_the_order_within_a_round_depends_on_the_seed():
    orders = []
    for seed in (0, 0, 1, 2, 3):
        timer = Timer()
        rounds = Rounds(timer, {}, seed)
        for _ in range(4):
            rounds.time([A, B, C])
        orders.append(tuple(timer.timed))
    assert orders[0] == orders[1]
    assert len(set(orders)) > 1


def test_recorded_rounds_are_repeated_and_new_ones_follow_the_last():
    timer = Timer()
    earlier = {0: {str(A): 7.0, str(B): "out of memory"}, 1: {str(A): 8.0}}
    rounds = Rounds(timer, earlier, seed=0)
    assert rounds.time([A, B]) == (0, {str(A): 7.0, str(B): "out of memory"})
    assert rounds.time([A]) == (1, {str(A): 8.0})
    assert timer.timed == []
    assert rounds.time([A]) == (2, {str(A): 100.0})


def test_blocks_of_a_round_that_was_cut_short_are_not_paired_with_later_ones():
    timer = Timer()
    cut_short = {0: {str(A): 7.0, str(B): 7.0}, 1: {str(A): 8.0}}
    rounds = Rounds(timer, cut_short, seed=0)
    rounds.time([A, B])
    assert rounds.time([A, B]) == (2, {str(A): 100.0, str(B): 100.0})
    resumed_twice = Rounds(timer, {**cut_short, 2: {str(A): 9.0, str(B): 9.0}}, seed=0)
    assert [resumed_twice.time([A, B])[0] for _ in range(3)] == [0, 2, 3]


@pytest.mark.parametrize("choices", [[A], [A, B]])
def test_a_round_gives_only_what_was_asked_for(choices):
    earlier = {0: {str(A): 7.0, str(B): 7.0, str(C): 7.0}}
    assert Rounds(Timer(), earlier, seed=0).time(choices)[1].keys() == {str(one) for one in choices}
