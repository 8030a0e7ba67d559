"""The time that rounds of a search are foreseen to take."""

import pytest

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.costs import Costs

TURBO, PIL = Choice(loader="turbo"), Choice(loader="keras_pil")
CACHED, ONE = (
    Choice(loader="turbo", settings=settings)
    for settings in ({"cache": "decoded"}, {"num_threads": 1})
)


def test_what_filled_a_cache_does_not_make_other_settings_look_slow_to_start():
    costs = Costs()
    costs.timed(TURBO, 0.75, 3.0, is_first=True)
    costs.timed(CACHED, 0.75, 61.0, is_first=True)
    assert costs.foreseen_s([TURBO, ONE], 3, [TURBO, ONE]) == pytest.approx(1.1 * (3 * 2 + 2 * 2))
    assert costs.foreseen_s([CACHED], 3, [CACHED]) == pytest.approx(1.1 * (3 + 60))


def test_a_start_takes_what_those_of_the_same_loader_took():
    costs = Costs()
    costs.started([TURBO], 1.0)
    costs.started([PIL], 20.0)
    costs.started([], 0.0)
    assert costs.foreseen_s([TURBO], 0, [TURBO]) == pytest.approx(1.1)
    costs.started([TURBO, PIL], 6.0)  # side by side
    assert costs.foreseen_s([TURBO], 0, [TURBO]) == pytest.approx(1.1 * 2)
