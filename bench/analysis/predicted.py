"""The rate to expect of the winner of a bench, from blocks that did not choose it.

The winner of several trials tends to be one with lucky blocks, which a training does not repeat.
So after the last round the winner alone is timed again, in as many blocks.
"""

from __future__ import annotations

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import independent_ratio, median_interval
from feedbench.bench.record import Trial

NOTICEABLE = 0.03  # rates of one process that differ less count as the same: a convention


def confirming_rates(trial: Trial) -> list[float]:
    """Return the rates of the blocks after the trial was chosen, in images per second."""
    if trial.chosen_before is None:
        return []
    return [rate for index, rate in trial.rates.items() if index >= trial.chosen_before]


def without_confirmation(trial: Trial) -> Trial:
    """Return the trial with the blocks that may choose it."""
    if trial.chosen_before is None:
        return trial
    blocks = [block for block in trial.blocks if block.round < trial.chosen_before]
    return trial.model_copy(update={"blocks": blocks})


def predicted_rate(trial: Trial, *, was_compared: bool) -> Estimate | None:
    """Return the rate to expect of a winner, in images per second.

    Args:
        trial: the winner.
        was_compared: whether it was chosen among several; otherwise each of its blocks counts.

    Returns:
        None if the run ended before the winner was timed again.
    """
    rates = confirming_rates(trial) if was_compared else list(trial.rates.values())
    return median_interval(rates) if rates else None


def expected_wait_share(trial: Trial) -> float | None:
    """Return the fraction of the time without a batch, in the blocks of the predicted rate.

    Args:
        trial: the winner, with the blocks that count.

    Returns:
        None without any such block.
    """
    first = trial.chosen_before or 0
    blocks = [block for block in trial.blocks if block.round >= first]
    seconds = sum(block.seconds for block in blocks)
    return sum(sum(block.wait_s) for block in blocks) / seconds if blocks else None


def has_drifted(chosen: Estimate, again: Estimate) -> bool:
    """Whether two rates of a winner differ by more than chance: their ratio's interval excludes 1.

    Args:
        chosen: from the blocks that chose it.
        again: from those after the choice.
    """
    ratio = independent_ratio(again, chosen)
    return not ratio.contains(1) and abs(ratio.value - 1) > NOTICEABLE
