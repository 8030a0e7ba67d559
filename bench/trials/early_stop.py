"""When a run is judged, and what follows for its trials: the answers come from `analysis`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from feedbench.bench.plan.plan import Timing
from feedbench.bench.record import Trial

_LEAST_ALONE = 6  # blocks of the winner alone: from so many on, one slow block hardly matters


@dataclass(frozen=True)
class Judgement:
    """What is certain after some rounds.

    Attributes:
        slower_than: the trials that need no more blocks since they cannot win: for each index, the
            index of a trial that is certainly faster.
        is_decided: whether no trial needs more blocks.
    """

    slower_than: Mapping[int, int]
    is_decided: bool


@dataclass(frozen=True)
class EarlyStop:
    """After which numbers of rounds a run is judged, and by what.

    Attributes:
        judged_after: ascending; the last is the number of all rounds.
        judge: returns what is certain by the blocks so far.
    """

    judged_after: tuple[int, ...]
    judge: Callable[[list[Trial]], Judgement]


def blocks_alone(timing: Timing, rounds: int) -> int:
    """Return how many blocks of the winner alone follow the rounds in which it was chosen."""
    return max(rounds, min(timing.blocks, _LEAST_ALONE))
