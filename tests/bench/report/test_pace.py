"""The time left follows from how long starts and blocks took."""

import pytest

from feedbench.bench.plan.plan import Choice, Timing
from feedbench.bench.report.pace import Pace
from feedbench.bench.trials.events import TrialEvent

TIMING = Timing(blocks=4, block_seconds=2, warm_up_seconds=3)


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def pace(now):
    return Pace(TIMING, 2, confirms=True, clock=lambda: now[0])


def event(kind, trial, index=0):
    return TrialEvent(kind, Choice(loader="turbo"), 0, 8, index, trial)


def test_the_plan_is_assumed_before_anything_is_known(pace):
    assert pace.left_s() == 2 * (3 + 6) + 2 * 4 * 2 + 4 * 2


def test_measured_durations_replace_the_plan(pace, now, trial):
    pace.update(event("starting", trial("turbo", [])))
    now[0] += 10
    pace.update(event("warm", trial("turbo", [])))
    pace.update(event("timing", trial("turbo", [])))
    now[0] += 5
    pace.update(event("block", trial("turbo", [100])))
    assert pace.left_s() == 10 + (3 + 4 + 4) * 5
    assert pace.spent_s() == 15


def test_a_process_for_each_block_starts_before_each_block(now, trial):
    timing = TIMING.model_copy(update={"fresh_processes": True})
    pace = Pace(timing, 2, confirms=False, clock=lambda: now[0])
    assert pace.left_s() == 2 * 4 * (3 + 6) + 2 * 4 * 2
    pace.update(event("starting", trial("turbo", [])))
    now[0] += 10
    pace.update(event("warm", trial("turbo", [])))
    assert pace.left_s() == 7 * 10 + 8 * 2
    pace.update(event("timing", trial("turbo", [])))
    now[0] += 5
    pace.update(event("block", trial("turbo", [100])))
    assert pace.left_s() == 7 * 10 + 7 * 5
    pace.update(event("failed", trial("turbo", [100], error="crashed")))
    assert pace.left_s() == 4 * (10 + 5)


def test_the_step_that_runs_is_deducted_until_it_takes_longer_than_expected(pace, now, trial):
    pace.update(event("starting", trial("turbo", [])))
    before = pace.left_s()
    now[0] += 4
    assert pace.left_s() == before - 4
    now[0] += 100
    assert pace.left_s() == before - 9


def test_a_failed_trial_takes_no_more_time(pace, trial):
    before = pace.left_s()
    pace.update(event("failed", trial("turbo", [], error="crashed")))
    assert pace.left_s() == before - (3 + 6) - 4 * 2


def test_the_winner_is_confirmed_only_once(pace, trial):
    pace.update(event("warm", trial("turbo", [])))
    pace.update(event("block", trial("turbo", [1] * 8, chosen_before=4)))
    pace.update(event("failed", trial("turbo", [], error="crashed"), index=1))
    assert pace.left_s() == 0
