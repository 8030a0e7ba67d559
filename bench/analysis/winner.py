"""Who wins a bench: the cheapest of those that certainly reach nearly the fastest rate."""

from __future__ import annotations

from collections.abc import Sequence

from feedbench.bench.analysis.summary_record import Summary, TrialSummary

MIN_RATIO_TO_WIN = 0.95  # of the fastest rate: a cheaper trial must certainly reach it to win


def choose_winner(trials: Sequence[TrialSummary]) -> int | None:
    """Return the index of the trial that is cheapest in memory and CPU time combined.

    One whose interval reaches below `MIN_RATIO_TO_WIN` may be slower, so it cannot win by being
    cheap. With too few blocks for intervals, the fastest wins.
    """
    candidates = able_to_win(trials)
    if not candidates:
        return None
    min_memory = min(trial.peak_memory_bytes or 0 for trial in candidates.values()) or 1
    min_cores = min(trial.cpu_cores or 0 for trial in candidates.values()) or 1

    def cost(index: int) -> float:
        trial = candidates[index]
        return (trial.peak_memory_bytes or 0) / min_memory + (trial.cpu_cores or 0) / min_cores

    return min(candidates, key=cost)


def able_to_win(trials: Sequence[TrialSummary]) -> dict[int, TrialSummary]:
    """Return the fastest trial, and those that certainly reach `MIN_RATIO_TO_WIN`, by index.

    Whether they tie with the fastest does not matter: one may be certainly slower than that by
    more than a tie allows, and nearly as fast.
    """
    return {index: trial for index, trial in enumerate(trials) if _is_able(trial)}


def _is_able(trial: TrialSummary) -> bool:
    ratio = trial.ratio_to_best
    if not trial.ranked or trial.error or trial.is_out or ratio is None:
        return False
    return trial.tied_with_best if ratio.low is None else ratio.low >= MIN_RATIO_TO_WIN


def why_no_winner(summary: Summary) -> str:
    """Return why a bench chose no loader, in a few words."""
    if any(trial.error or trial.unproven for trial in summary.trials):
        return "trials failed, or their blocks do not count"
    if any(trial.ranked and not trial.blocks for trial in summary.trials) and any(
        trial.blocks for trial in summary.trials
    ):
        return "not every loader was timed"
    if any(trial.pixels_unknown for trial in summary.trials):
        return "the pixels could not be compared; --allow-different-pixels ranks without that"
    if any(trial.blocks for trial in summary.trials):
        return "only loaders that are never ranked were timed"
    return "no block was timed"
