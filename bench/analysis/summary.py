"""The summary of a bench, derived from its raw record by pure functions."""

from __future__ import annotations

from feedbench.bench.analysis.block_figures import block_figures
from feedbench.bench.analysis.compare import MARGIN, Comparison, compare_with_fastest, find_fastest
from feedbench.bench.analysis.device_figures import device_figures
from feedbench.bench.analysis.own_faults import own_faults
from feedbench.bench.analysis.predicted import predicted_rate, without_confirmation
from feedbench.bench.analysis.stats import Rates, paired_ratio
from feedbench.bench.analysis.summary_record import Summary as Summary
from feedbench.bench.analysis.summary_record import TrialSummary as TrialSummary
from feedbench.bench.analysis.winner import choose_winner
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Block, Trial
from feedbench.bench.trials.cache_state import unproven_reason
from feedbench.bench.trials.internal_loaders import is_choice


def summarize(trials: list[Trial]) -> Summary:
    """Derive all figures, choose the winner and predict its rate.

    Blocks that were not in the requested cache state are not counted. Nothing wins before every
    trial that could win has been timed.
    """
    is_begun = all(trial.blocks or trial.error for trial in trials if _is_ranked(trial))
    reasons = [_reasons_not_counted(trial) for trial in trials]
    trials = [with_counted_blocks(trial) for trial in trials]
    summaries = [
        one.model_copy(update={"unproven": unproven})
        for one, unproven in zip(_summaries(trials), reasons, strict=True)
    ]
    winner = _chosen(trials, summaries) if is_begun else None
    several = len(_contest(trials)) > 1
    return Summary(
        trials=summaries,
        winner=winner,
        judged_after=trials[0].judged_after if trials else [],
        predicted=None if winner is None else predicted_rate(trials[winner], was_compared=several),
    )


def to_confirm(trials: list[Trial]) -> int | None:
    """Return the index of the winner; None if it was not chosen among several."""
    summary = summarize(trials)
    return summary.winner if len(_contest(trials)) > 1 else None


def _chosen(trials: list[Trial], summaries: list[TrialSummary]) -> int | None:
    """Return the trial that won before it was timed alone, or else the one that wins now."""
    for index, trial in enumerate(trials):
        if trial.chosen_before is not None and trial.error is None:
            return index
    return choose_winner(summaries)


def counted(trials: list[Trial]) -> list[Trial]:
    """Return the trials with the blocks that count: in the requested state, before a choice."""
    return [without_confirmation(with_counted_blocks(trial)) for trial in trials]


def _reasons_not_counted(trial: Trial) -> list[str]:
    """Return one reason per block that is not counted."""
    reasons = (_reason_not_counted(trial, block) for block in trial.blocks)
    return [reason for reason in reasons if reason]


def with_counted_blocks(trial: Trial) -> Trial:
    """Return the trial without the blocks that were not in the requested cache state."""
    counted = [block for block in trial.blocks if not _reason_not_counted(trial, block)]
    return trial.model_copy(update={"blocks": counted})


def _reason_not_counted(trial: Trial, block: Block) -> str | None:
    return unproven_reason(trial.cache_state, block)


def _is_ranked(trial: Trial) -> bool:
    """Whether the trial reads images, its pixels are accepted and its augmentation is complete."""
    accepted = trial.pixels is None or trial.pixels.accepted
    return can_win(trial) and accepted


def can_win(trial: Trial | Choice) -> bool:
    """Whether a trial reads images, with the augmentation of the batch spec."""
    return is_choice(trial.loader) and trial.augment is None


def _has_no_rows(trial: Trial) -> bool:
    """Whether it is an own loader whose batches do not say which images they hold."""
    return trial.own is not None and trial.own.rows is False


def _contest(trials: list[Trial]) -> dict[int, Rates]:
    """Return the rates of all trials that can win, by their index."""
    return {
        index: trial.rates
        for index, trial in enumerate(trials)
        if _is_ranked(trial) and not trial.error and trial.blocks
    }


def _summaries(trials: list[Trial]) -> list[TrialSummary]:
    trials = [without_confirmation(trial) for trial in trials]
    looks = max((len(trial.judged_after) for trial in trials), default=0) or 1
    contest = _in_race(trials)
    fastest, comparisons = compare_with_fastest(contest, looks) if contest else (-1, {})
    best, baseline = contest.get(fastest, {}), _baseline_rates(trials)
    alone = next((trial.rates for trial in trials if trial.alone), {})
    return [
        _with_scaling(
            _summarize(
                trial, best, baseline, comparisons.get(index), looks, is_fastest=index == fastest
            ),
            trial,
            alone,
        )
        for index, trial in enumerate(trials)
    ]


def _with_scaling(summary: TrialSummary, trial: Trial, alone: Rates) -> TrialSummary:
    """Add how much of their number several devices gain; `alone` are the rates of one."""
    count = len(trial.devices)
    if count < 2 or not alone:
        return summary
    ideal = {number: count * rate for number, rate in alone.items()}
    return summary.model_copy(update={"scaling_efficiency": paired_ratio(trial.rates, ideal)})


def _in_race(trials: list[Trial]) -> dict[int, Rates]:
    """Return the rates of all trials that can win and were not found to be slower before."""
    return {
        index: rates
        for index, rates in _contest(trials).items()
        if (stopped := trials[index].stopped) is None or stopped.slower_than is None
    }


def _baseline_rates(trials: list[Trial]) -> Rates:
    """Return the rates of a consumer that never waits; empty for `drain`, which does no work."""
    baselines = {
        index: trial.rates
        for index, trial in enumerate(trials)
        if not (is_choice(trial.loader) or trial.alone)
        and trial.consumer != "drain"
        and trial.blocks
    }
    return baselines[find_fastest(baselines)] if baselines else {}


def _summarize(
    trial: Trial,
    best: Rates,
    baseline: Rates,
    comparison: Comparison | None,
    looks: int,
    *,
    is_fastest: bool,
) -> TrialSummary:
    ratio = paired_ratio(trial.rates, best, looks=looks)
    figures = block_figures(trial, baseline, looks)
    is_open = comparison is not None and comparison.outcome in ("tie", "cannot tell")
    reaches = ratio is not None and ratio.interval is not None and not ratio.lies_below(1 - MARGIN)
    pixels, warm_up = trial.pixels, next(iter(trial.warm_ups), None)
    return TrialSummary(
        loader=trial.loader,
        settings=trial.settings,
        augment=trial.augment,
        alone=trial.alone,
        ratio_to_best=ratio,
        tied_with_best=is_fastest or (is_open and reaches),
        undecided=is_open and not reaches,
        start_s=warm_up.start_s if warm_up else None,
        first_batch_s=warm_up.first_batch_s if warm_up else None,
        started_beside=warm_up.beside if warm_up else 0,
        blocks=len(trial.blocks),
        left_out=sum(trial.left_out.values()),
        dropped=len(trial.dropped),
        other_pixels=pixels.worst_mean if pixels and pixels.within is False else None,
        pixels_unknown=(pixels is not None and pixels.within is None) or _has_no_rows(trial),
        ranked=_is_ranked(trial),
        stopped=trial.stopped,
        error=trial.error,
        own_faults=own_faults(trial),
        traceback=trial.traceback,
        devices=device_figures(trial, figures.get("images_per_second")),
        **figures,
    )
