"""When a bench has timed enough: after some rounds it is judged which trials need more blocks.

A question that is asked again and again is answered wrongly more often. So the answers after
these rounds share the error rate of one, and intervals are wide enough to hold each time that they
are looked at. Why so, and how often it errs: docs/statistics.md.
"""

from __future__ import annotations

from math import ceil

from feedbench.bench.analysis.summary import TrialSummary, can_win, summarize
from feedbench.bench.analysis.winner import MIN_RATIO_TO_WIN
from feedbench.bench.plan.plan import Plan
from feedbench.bench.record import Trial
from feedbench.bench.trials.early_stop import EarlyStop, Judgement

FIRST_LOOK = 4  # fewer rounds decide little: Student's t of three pairs is too wide
_GROWTH = 1.5  # each look costs certainty in all others, so they become rarer


def early_stop(plan: Plan) -> EarlyStop | None:
    """Return when and by what a bench is judged; None if it times all blocks.

    It does so if that was requested, if there is nothing to choose from, or if it also measures
    what augmentations cost, which is no question of which loader is faster.
    """
    rivals = sum(can_win(choice) for choice in plan.choices)
    is_choice_only = all(choice.augment is None for choice in plan.choices)
    looks = judged_after(plan.timing.blocks)
    if not plan.timing.early_stopping or rivals < 2 or not is_choice_only or len(looks) < 2:
        return None
    return EarlyStop(looks, judge)


def judged_after(rounds: int) -> tuple[int, ...]:
    """Return after how many rounds a bench of at most `rounds` is judged, these included.

    Each look comes after at least half as many rounds again as the one before.
    """
    looks, next_look = [], FIRST_LOOK
    while _GROWTH * next_look <= rounds:
        looks.append(next_look)
        next_look = ceil(_GROWTH * next_look)
    return (*looks, rounds)


def judge(trials: list[Trial]) -> Judgement:
    """Return which trials need no more blocks.

    A trial is out of the race if it is certainly slower than the fastest and certainly misses the
    rate with which it could still win. The race is decided if each trial is certainly slower than
    the fastest, or certainly reaches that rate. Where fewer than two are ranked there is no race.
    """
    ranked = {
        index: one
        for index, one in enumerate(summarize(trials).trials)
        if one.ranked and one.error is None
    }
    if len(ranked) < 2:
        return Judgement(slower_than={}, is_decided=False)
    rivals = {index: one for index, one in ranked.items() if not one.is_out}
    fastest = [index for index, one in rivals.items() if one.tied_with_best and _ratio(one) == 1]
    out = [index for index, one in rivals.items() if _is_slower(one) and _misses(one)]
    return Judgement(
        slower_than=dict.fromkeys(out, fastest[0]) if fastest else {},
        is_decided=all(_is_slower(one) or _reaches(one) for one in rivals.values()),
    )


def _ratio(trial: TrialSummary) -> float | None:
    return None if trial.ratio_to_best is None else trial.ratio_to_best.value


def _is_slower(trial: TrialSummary) -> bool:
    """Whether it is certainly slower than the fastest, all comparisons taken together."""
    return trial.blocks > 0 and not trial.tied_with_best and not trial.undecided


def _misses(trial: TrialSummary) -> bool:
    return trial.ratio_to_best is not None and trial.ratio_to_best.lies_below(MIN_RATIO_TO_WIN)


def _reaches(trial: TrialSummary) -> bool:
    return trial.ratio_to_best is not None and trial.ratio_to_best.lies_above(MIN_RATIO_TO_WIN)
