"""The budget of a search: a time with a unit, and a longer one for a search that had too little."""

import pytest

from feedbench.bench.commands.tune import _TIMING
from feedbench.bench.errors import PlanError
from feedbench.bench.tune.budget import budget_seconds, with_longer_budget


def test_a_budget_is_a_time_with_a_unit():
    assert [budget_seconds(text) for text in ("90s", "1.5m", "1h")] == [90, 90, 3600]
    with pytest.raises(PlanError, match="--budget 0s: must be a time such as 90s, 5m or 1h"):
        budget_seconds("0s")


@pytest.mark.parametrize(
    ("given", "longer"),
    [("--budget 1s", "1m"), ("--budget=45s", "90s"), ("--budget 1.5m", "3m"), ("", "20m")],
)
def test_a_longer_budget_is_twice_as_long_and_at_least_a_minute(given, longer):
    command = with_longer_budget(f"feedbench tune --resume 'a folder' {given} --loader turbo")
    assert command == f"feedbench tune --resume 'a folder' --loader turbo --budget {longer}"


def test_one_batch_is_a_small_part_of_a_block():
    """In each block, a loader in line makes one batch while nothing else happens."""
    assert _TIMING.block_steps >= 20
