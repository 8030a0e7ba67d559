"""What a bench prints: what was measured, its table, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.analysis.augment_costs import augment_costs
from feedbench.bench.analysis.contention import OtherCores, beside_winner, busy_warning
from feedbench.bench.analysis.estimate import rate_text
from feedbench.bench.analysis.predicted import has_drifted
from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.analysis.winner import (
    MIN_RATIO_TO_WIN,
    able_to_win,
    choose_winner,
    why_no_winner,
)
from feedbench.bench.consumers.device import CPU, several_text
from feedbench.bench.consumers.trainer import timed_phase_text
from feedbench.bench.quantities import quantity
from feedbench.bench.record import Trial
from feedbench.bench.report.course import course
from feedbench.bench.report.devices_table import device_rows, devices_table
from feedbench.bench.report.document import Line, Part
from feedbench.bench.report.table import bench_table, bytes_text, trial_name, utilization_text
from feedbench.bench.report.table_notes import notes
from feedbench.loaders import LOADERS, BatchSpec
from feedbench.trainer import Recipe, is_own_model

_MOST_NAMED = 3  # of more names, a sentence says how many they are; the table marks each
_ALIKE = 0.01  # two rates that differ less need no explanation: a convention


def parts(trials: list[Trial], summary: Summary) -> Iterator[Part]:
    """Yield what is printed of a bench: the table, the costs of augmentations, and the verdict.

    Args:
        trials: empty if only the summary was saved.
    """
    if trials:
        yield Line(headline(trials))
    yield from (Line(text, "yellow") for text in device_warnings(trials))
    yield from table_parts(summary)
    yield from map(Line, consumer_notes(trials))
    yield from (Line(str(cost)) for cost in augment_costs(trials))
    yield from (Line(text, "yellow") for text in busy_warning(trials))
    yield Line(verdict(summary, trials), "bold")


def table_parts(summary: Summary) -> Iterator[Part]:
    """Yield the table of a bench, if a trial was timed, and its notes."""
    if any(trial.images_per_second for trial in summary.trials):
        yield bench_table(summary)
    if device_rows(summary):
        yield devices_table(summary)
    yield from notes(summary)
    yield from course(summary)


def headline(trials: list[Trial]) -> str:
    """Return the images, the batch spec and the consumer of a bench in one line."""
    if not trials:
        return "nothing measured"
    trial = trials[0]
    spec: dict[str, Any] = trial.spec
    if trial.consumer == "fit":
        return f"{trial.loader}, batch {spec['batch_size']} → {consumer_text(trial)}"
    return (
        f"{trial.images:,} images → {spec['image_size']} px, {spec['resize']}, "
        f"{spec['interpolation']}, batch {spec['batch_size']} → {consumer_text(trial)}"
    )


def device_warnings(trials: list[Trial]) -> list[str]:
    """Return a line if the trainer used the CPU, unasked, although there is a GPU."""
    gpus = {
        gpu
        for trial in trials
        if trial.device == CPU and not (trial.alone or several_text(trial.devices))
        for gpu in (trial.machine or {}).get("gpus", [])
    }
    return [
        f"Keras trained on the CPU, although there is an {gpu}: install tensorflow[and-cuda], or "
        "the CUDA build of its backend"
        for gpu in sorted(gpus)
    ]


def consumer_text(trial: Trial) -> str:
    """Return what took the batches, in a few words."""
    if trial.consumer == "fit":
        return "fit of {network}".format(**trial.recipe)
    if trial.accelerator is None:
        if trial.consumer == "drain":
            return "nothing (drain)"
        recipe = {"network": "MobileNetV2", "alpha": 1.0, **trial.recipe}  # older records lack some
        words = "the {network} trainer, alpha {alpha}"
        if is_own_model(recipe["network"]):
            words = "the trainer with {network}"
        trainer = words.format(**recipe)
        return ", ".join(filter(None, [trainer, _phase_text(trial), _devices_text(trial)]))
    accelerator = Accelerator.model_validate(trial.accelerator)
    rate = 1 / accelerator.seconds_per_image(trial.spec["image_size"])
    return f"an emulated {accelerator.device}, {rate_text(rate)} images/s"


def _devices_text(trial: Trial) -> str:
    """Return how many devices trained together, and the images of each; empty for one."""
    if not (several := several_text(trial.devices)):
        return ""
    return f"on {several}, {trial.spec['batch_size'] // len(trial.devices)} images each"


def _phase_text(trial: Trial) -> str:
    """Return which phase of a fine-tuning was timed; empty in records that do not say so."""
    if trial.device is None:
        return ""
    return timed_phase_text(Recipe.model_validate(trial.recipe))


def consumer_notes(trials: list[Trial]) -> list[str]:
    """Return where the rate of an emulated accelerator is from, and what is assumed of it."""
    if not trials or trials[0].accelerator is None:
        return []
    accelerator = Accelerator.model_validate(trials[0].accelerator)
    spec = BatchSpec.model_validate(trials[0].spec)
    source = (
        f"{accelerator.device}: {rate_text(accelerator.images_per_second)} images/s at batch "
        f"{accelerator.batch_size}, {accelerator.image_size} px, precision "
        f"{accelerator.precision}; {accelerator.source}"
    )
    assumptions = accelerator.assumptions(spec, Recipe.model_validate(trials[0].recipe))
    return [f"{text[0].upper()}{text[1:]}." for text in (source, *assumptions)]


def verdict(summary: Summary, trials: Sequence[Trial] = ()) -> str:
    """Return the winner with its rate and the utilization, and which trials may be as fast.

    Args:
        trials: what other programs used beside the winner; empty if only the summary was saved.
    """
    if summary.winner is None:
        return f"No loader can be recommended: {_why_no_winner(summary)}."
    best = summary.trials[summary.winner]
    others = beside_winner(trials[summary.winner]) if trials else None
    rate, again = summary.predicted or best.images_per_second, _rate_again(summary, others)
    assert rate is not None
    text = f"{trial_name(best)}: {rate_text(rate.value)} images/s"
    if best.accelerator_utilization is not None and not again:  # else it is of another rate
        text += f", accelerator utilization {utilization_text(best)}"
    if summary.is_alone:
        other = next(one for one in LOADERS if one != best.loader)
        return f"{text}. Nothing to compare it with: add --loader {other}."
    reasons = (_why_it_wins(summary, best), _why_cheapest(summary, best))
    sentences = [f"Take {text}.", *reasons, again, _open(summary)]
    return " ".join(filter(None, sentences))


def _rate_again(summary: Summary, others: OtherCores | None) -> str:
    """Return which of two rates to expect, and why; empty if there is one, or they are alike."""
    assert summary.winner is not None
    chosen, again = summary.trials[summary.winner].images_per_second, summary.predicted
    if chosen is None or again is None or abs(again.value / chosen.value - 1) < _ALIKE:
        return ""
    is_slower = again.value < chosen.value
    text = (
        "Expect this rate: it was measured again after the choice. The "
        f"{rate_text(chosen.value)} in the table come from the blocks that chose it"
        f"{_why_other_rate(others, is_slower=is_slower)}."
    )
    if not has_drifted(chosen, again):
        return text
    text += " The two differ by more than their intervals allow: "
    if _are_the_reason(others, is_slower=is_slower):
        return f"{text}measure again on a quiet machine."
    alone = "" if is_slower else ", or the winner is faster alone"
    return f"{text}the machine may have changed{alone}, so measure again."


def _are_the_reason(others: OtherCores | None, *, is_slower: bool) -> bool:
    """Return whether other programs explain why the rate after the choice differs."""
    return others is not None and (others.is_more if is_slower else others.is_less)


def _why_other_rate(others: OtherCores | None, *, is_slower: bool) -> str:
    """Return why the blocks that chose the winner were faster or slower, as far as is known."""
    if others is not None and _are_the_reason(others, is_slower=is_slower):
        used = f"{others.chosen:.1f} of {quantity(others.cores, 'core')}, then {others.again:.1f}"
        return f", while other programs used {'less' if is_slower else 'more'}: {used}"
    if not is_slower:
        return ""
    if others is not None and others.is_busy:
        return ", which were partly fast by chance, or less disturbed by other programs"
    return ", which were partly fast by chance"


def _why_no_winner(summary: Summary) -> str:
    if any(trial.error or trial.unproven for trial in summary.trials):
        return "the reasons are above"
    return why_no_winner(summary)


def _why_it_wins(summary: Summary, best: TrialSummary) -> str:
    others = [trial for trial in summary.trials if trial is not best]
    if not any(trial.ranked and trial.blocks and not trial.error for trial in others):
        return "It is the only one that is ranked."
    if rivals := _rivals(summary, best):
        do = "do" if len(rivals) > 1 else "does"
        share = f"{MIN_RATIO_TO_WIN:.0%} of the fastest rate"
        return f"It certainly reaches {share}, as {do} {_listed(rivals, 'and')}."
    return "It is the fastest in these blocks." if _unsettled(summary) else "It is the fastest."


def _rivals(summary: Summary, best: TrialSummary) -> list[str]:
    """Return the trials that could have won too."""
    return [trial_name(one) for one in able_to_win(summary.trials).values() if one is not best]


def _why_cheapest(summary: Summary, best: TrialSummary) -> str:
    """Return by what the winner was chosen among several; empty if it was not, or is unknown.

    One that was chosen before the last of its blocks need not be the cheapest of all.
    """
    is_cheapest = choose_winner(summary.trials) == summary.winner
    if not _rivals(summary, best) or not is_cheapest or best.cpu_cores is None:
        return ""
    costs = f"{bytes_text(best.peak_memory_bytes)} and {best.cpu_cores:.2f} cores"
    return f"It is the cheapest of these in memory and CPU time combined: {costs}."


def _unsettled(summary: Summary) -> list[str]:
    """Return the trials that may be as fast as the fastest, or not."""
    settled = able_to_win(summary.trials)
    return [
        trial_name(trial)
        for index, trial in enumerate(summary.trials)
        if index not in settled and (trial.tied_with_best or trial.undecided)
    ]


def _open(summary: Summary) -> str:
    """Return a sentence on what the blocks do not show; empty if they show all."""
    if not (names := _unsettled(summary)):
        return ""
    return f"These blocks do not show whether {are(names)} as fast: take more with --blocks."


def are(names: Sequence[str]) -> str:
    """Return names and the verb of a question about them; of many names their number."""
    if len(names) > _MOST_NAMED:
        return f"{len(names)} of the others are"
    return f"{_listed(names, 'or')} is"


def _listed(names: Sequence[str], word: str) -> str:
    """Return names as a sentence lists them."""
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last
