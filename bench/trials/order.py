"""The order in which the trials of a round are timed."""

from __future__ import annotations

import numpy as np

from feedbench.bench.plan.plan import Plan


def order_of_round(plan: Plan, round_index: int) -> list[int]:
    """Return the indices of the trials of a plan in the order of a round."""
    return balanced_order(len(plan.choices), round_index, plan.timing.seed)


def balanced_order(trials: int, round_index: int, seed: int) -> list[int]:
    """Return indices of trials in the order of a round.

    It is drawn for every second round, and reversed in the next: so each trial comes before any
    other as often as after it, and effects of its place in the round cancel.

    Args:
        trials: how many there are.
        round_index: from 0.
        seed: of the plan.
    """
    drawn: list[int] = np.random.default_rng([seed, round_index // 2]).permutation(trials).tolist()
    return drawn[::-1] if round_index % 2 else drawn
