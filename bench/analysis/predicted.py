"""The rate to expect of the winner of a bench."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.record import Trial


def predicted_rate(
    trials: Sequence[Trial], choose: Callable[[list[Trial]], int | None]
) -> Estimate | None:
    """Return the rate to expect of the trial that `choose` takes, in images per second.

    The blocks that choose a winner are its luckiest. So each round in turn is left out: the other
    rounds choose a trial, and its rate in the round that was left out counts. Where one trial is
    clearly the fastest, it is chosen every time, and all its blocks count.

    Args:
        trials: with the blocks that count.
        choose: returns the index of the trial to use, None if there is none.

    Returns:
        None if there are no two rounds.
    """
    rounds = sorted({index for trial in trials for index in trial.rates})
    left_out = [_rate_left_out(trials, choose, index) for index in rounds]
    rates = [rate for rate in left_out if rate is not None]
    return median_interval(rates) if rates else None


def _rate_left_out(
    trials: Sequence[Trial], choose: Callable[[list[Trial]], int | None], index: int
) -> float | None:
    """Return the rate in one round of the trial that all other rounds choose."""
    chosen = choose([_without_round(trial, index) for trial in trials])
    return None if chosen is None else trials[chosen].rates.get(index)


def _without_round(trial: Trial, index: int) -> Trial:
    blocks = [block for block in trial.blocks if block.round != index]
    return trial.model_copy(update={"blocks": blocks})
