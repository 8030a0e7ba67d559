"""`--fail-if-slower`: which rates are certainly slower than allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.compare.outcome import surely_not_slower, surely_slower
from feedbench.bench.compare.pairing import Candidate
from feedbench.bench.errors import PlanError
from feedbench.bench.results.comparison import Gate

OPTION = "--fail-if-slower"
_MOST_NAMED = 3  # of more rates, the text says how many they are; the table marks each


def parse_percent(text: str) -> float:
    """Return the share that a percentage such as `5%` means.

    Raises:
        PlanError: it is no percentage between 0 and 100.
    """
    number = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", text.strip())
    share = float(number[1]) / 100 if number else 0.0
    if not 0 < share < 1:
        raise PlanError(f"{OPTION} {text}: must be a percentage above 0 and below 100, such as 5%")
    return share


def judge(candidates: Sequence[Candidate], limit: float, runs: Sequence[str] = ()) -> Gate:
    """Return which rates are certainly slower than the base by more than the limit.

    A loader that the base could measure and the run could not counts as slower.

    Args:
        limit: 0.05 for 5 %.
        runs: their names, if there are so many that a rate needs it: the base and several more.
    """
    judged = [one for one in candidates if one.is_judged]
    timed = [one for one in judged if one.ratio is not None]
    ratios = [one.ratio for one in timed if one.ratio is not None]
    slower = surely_slower(ratios, limit) if ratios else []
    unmeasured = [one for one in judged if one.ratio is None]
    failed = [
        *_named(timed, slower, runs),
        *(f"{name} failed" for name in _named(unmeasured, [True] * len(unmeasured), runs)),
    ]
    are_open = [
        not is_slower and not surely_not_slower(ratio, limit)
        for ratio, is_slower in zip(ratios, slower, strict=True)
    ]
    undecided = _named(timed, are_open, runs)
    not_judged = sum(one.reads_images and not one.is_judged for one in candidates)
    return Gate(
        limit=limit,
        failed=failed,
        open=undecided,
        judged=len(judged),
        not_judged=not_judged,
        text=_text(limit, len(judged), failed, undecided),
    )


def _named(
    candidates: Sequence[Candidate], flags: Sequence[bool], runs: Sequence[str]
) -> list[str]:
    return [
        f"{runs[one.run]}: {one.name}" if runs else one.name
        for one, flag in zip(candidates, flags, strict=True)
        if flag
    ]


def _text(limit: float, judged: int, failed: list[str], undecided: list[str]) -> str:
    option = f"{OPTION} {limit * 100:g}%"
    if failed:
        return f"{option}: failed: {', '.join(failed)}."
    if not judged:
        return f"{option}: nothing could be judged, so it did not pass."
    margin = (
        f" Two processes that do the same work differ by up to {MARGIN:.0%}: a smaller limit "
        "reports such differences too."
    ) * (limit < MARGIN)
    if undecided:
        named = ", ".join(undecided)
        if len(undecided) > _MOST_NAMED:
            named = f"{len(undecided)} of {judged} rates"
        return (
            f"{option}: passed, but these blocks cannot tell for {named}: take "
            f"more with --blocks.{margin}"
        )
    return f"{option}: passed.{margin}"
