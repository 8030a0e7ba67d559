"""What was measured in a bench, and its result, in one sentence each."""

from __future__ import annotations

from typing import Any

from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.analysis.winner import MIN_RATIO_TO_WIN, able_to_win
from feedbench.bench.consumers.trainer import CPU, timed_phase_text
from feedbench.bench.plan.accelerators import Accelerator
from feedbench.bench.record import Trial
from feedbench.bench.report.table import trial_name
from feedbench.loaders import BatchSpec
from feedbench.trainer import Recipe, is_own_model


def headline(trials: list[Trial]) -> str:
    """Return the images, the batch spec and the consumer of a bench in one line."""
    if not trials:
        return "nothing measured"
    trial = trials[0]
    spec: dict[str, Any] = trial.spec
    return (
        f"{trial.images:,} images → {spec['image_size']} px, {spec['resize']}, "
        f"{spec['interpolation']}, batch {spec['batch_size']} → {consumer_text(trial)}"
    )


def device_warnings(trials: list[Trial]) -> list[str]:
    """Return a line if the trainer used the CPU although there is a GPU."""
    gpus = {
        gpu
        for trial in trials
        if trial.device == CPU
        for gpu in (trial.machine or {}).get("gpus", [])
    }
    return [
        f"TensorFlow trained on the CPU, although there is an {gpu}: install tensorflow[and-cuda] "
        "to train on it"
        for gpu in sorted(gpus)
    ]


def consumer_text(trial: Trial) -> str:
    """Return what took the batches, with the assumptions of an emulated accelerator."""
    if trial.consumer == "fit":
        return "fit of {network}".format(**trial.recipe)
    if trial.accelerator is None:
        if trial.consumer == "drain":
            return "nothing (drain)"
        recipe = {"network": "MobileNetV2", **trial.recipe}  # older records lack the network
        words = "the {network} trainer, alpha {alpha}"
        if is_own_model(recipe["network"]):
            words = "the trainer with {network}"
        trainer = words.format(**recipe)
        return ", ".join(filter(None, [trainer, _phase_text(trial)]))
    accelerator = Accelerator.model_validate(trial.accelerator)
    spec = BatchSpec.model_validate(trial.spec)
    assumptions = accelerator.assumptions(spec, Recipe.model_validate(trial.recipe))
    return "; ".join([_emulated(accelerator), *assumptions])


def _phase_text(trial: Trial) -> str:
    """Return which phase of a fine-tuning was timed; empty in records that do not say so."""
    if trial.device is None:
        return ""
    return timed_phase_text(Recipe.model_validate(trial.recipe))


def _emulated(accelerator: Accelerator) -> str:
    return (
        f"an emulated {accelerator.device} ({accelerator.images_per_second:,.0f} images/s, batch "
        f"{accelerator.batch_size}, {accelerator.image_size} px, precision "
        f"{accelerator.precision}; {accelerator.source})"
    )


def verdict(summary: Summary) -> str:
    """Return the winner with its rate, its ties and the utilization, in one sentence."""
    if summary.winner is None:
        return f"No loader can be recommended: {_why_no_winner(summary)}."
    best = summary.trials[summary.winner]
    rate = summary.predicted or best.images_per_second
    assert rate is not None
    utilization = ""
    if best.accelerator_utilization is not None:
        utilization = (
            f"; accelerator utilization {min(1.0, best.accelerator_utilization.value):.0%}"
        )
    return (
        f"Take {trial_name(best)}: {rate.value:,.0f} images/s, "
        f"{_compared(summary, best)}{utilization}."
    )


def _why_no_winner(summary: Summary) -> str:
    if any(trial.error or trial.unproven for trial in summary.trials):
        return "the reasons are above"
    if any(trial.ranked and not trial.blocks for trial in summary.trials) and any(
        trial.blocks for trial in summary.trials
    ):
        return "not every loader was timed"
    if any(trial.pixels_unknown for trial in summary.trials):
        return "the pixels could not be compared; --allow-different-pixels ranks without that"
    if any(trial.blocks for trial in summary.trials):
        return "only loaders that are never ranked were timed"
    return "no block was timed"


def _why_it_wins(summary: Summary) -> str:
    """Return why the winner is chosen among trials that tie."""
    reach = f"surely reaches {MIN_RATIO_TO_WIN:.0%} of the fastest rate"
    candidates = able_to_win(summary.trials)
    if len(candidates) == 1:
        return f"it alone {reach}"
    return (
        f"of {len(candidates)} that each {reach} it is the cheapest in memory and CPU time combined"
    )


def _compared(summary: Summary, best: TrialSummary) -> str:
    """Return how the winner compares with the other ranked trials."""
    others = [trial for trial in summary.trials if trial is not best]
    ties = [trial_name(trial) for trial in others if trial.tied_with_best]
    undecided = [trial_name(trial) for trial in others if trial.undecided]
    if not any(trial.ranked and trial.blocks and not trial.error for trial in others):
        return "the only one that is ranked"
    if ties:
        text = f"tied with {', '.join(ties)}; {_why_it_wins(summary)}"
    else:
        text = "the fastest in these blocks" if undecided else "the fastest"
    if undecided:
        text += f"; cannot tell whether it is faster than {', '.join(undecided)}: "
        text += "that takes more --blocks"
    return text
