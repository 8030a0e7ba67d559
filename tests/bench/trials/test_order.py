"""The order of a round."""

from __future__ import annotations

from itertools import combinations

import pytest

from feedbench.bench.trials.order import balanced_order


@pytest.mark.parametrize("trials", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", [0, 7])
def test_each_trial_comes_as_often_before_each_other_as_after_it(trials: int, seed: int):
    orders = [balanced_order(trials, index, seed) for index in range(10)]
    for one, other in combinations(range(trials), 2):
        assert sum(order.index(one) < order.index(other) for order in orders) == 5


def test_the_order_is_drawn_anew():
    assert len({tuple(balanced_order(6, index, 0)) for index in range(0, 20, 2)}) > 5
