"""The result of a comparison in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feedbench.bench.compare.from_diagnosis import END_TO_END
from feedbench.bench.report.table import ratio_text
from feedbench.bench.results.comparison import (
    Comparison,
    Outcome,
    RatePair,
    StallChange,
    TrainingChange,
)
from feedbench.bench.results.comparison_table import pair_name

_WORDS: tuple[Outcome, ...] = ("slower", "faster", "same within 3 %", "cannot tell")
_LISTED = 2  # rates without a certain difference are counted if there are more
_DRIFT = (
    "The runs were measured at different times. If the machine changed its speed in between, this "
    "looks like a difference, and the intervals do not include it: feedbench bench --against "
    "measures both in the same rounds, and --relative-to divides the rates by those of a loader "
    "that both runs have."
)


@dataclass(frozen=True)
class Unknown:
    """What a run or the base does not record.

    Attributes:
        run: name of the run.
        blocking: those of the names because of which the run is not judged.
    """

    run: str
    names: Sequence[str]
    blocking: Sequence[str]


def with_texts(
    comparison: Comparison,
    unknown: Sequence[Unknown] = (),
    busy: Mapping[str, str] | None = None,
) -> Comparison:
    """Return the comparison with its notes and its verdict.

    Args:
        unknown: what the base or a run does not record.
        busy: how many cores other programs used, by the name of the run.
    """
    notes = [*_busy_note(busy or {}), *_notes(comparison, unknown)]
    texts = {"notes": notes, "verdict": _verdict(comparison)}
    return comparison.model_copy(update=texts)


def _busy_note(busy: Mapping[str, str]) -> list[str]:
    """Return a sentence on the runs that other programs disturbed, if there are any."""
    if not busy:
        return []
    used = ", ".join(f"{cores} during {run}" for run, cores in busy.items())
    return [
        f"Other programs used {used}. They slow a loader with few threads more than one with many: "
        "on an idle machine the ratios may differ."
    ]


def _notes(comparison: Comparison, unknown: Sequence[Unknown]) -> list[str]:
    """Return what to know when reading the ratios, one sentence each."""
    texts = _drift_note(comparison)
    for pair in comparison.pairs:
        if pair.name == comparison.relative_to:
            continue
        if not pair.reads_images and pair.outcome in ("faster", "slower") and pair.ratio:
            texts.append(
                f"{pair.name}, which no setting of a loader changes, is {pair.outcome} too "
                f"({ratio_text(pair.ratio)}): the machine or the trainer has changed its speed."
            )
    if any(_seems_to_differ(pair) for pair in comparison.pairs):
        texts.append(
            "Cannot tell, although the interval does not contain 1: a difference counts only if "
            "the whole interval is beyond 3 %, and if it is too large for chance among so many "
            "comparisons. More blocks may show it."
        )
    if len({Path(run.path).resolve() for run in comparison.runs}) < len(comparison.runs):
        texts.append("Two of the runs are the same record.")
    texts += [_unknown_text(one, is_gated=comparison.gate is not None) for one in unknown]
    reasons = {one.topic for one in comparison.differences if one.effect == "not judged"}
    if reasons and comparison.gate is not None:
        texts.append(
            f"Runs that differ in {', '.join(sorted(reasons))} are not judged; --allow-different "
            "judges them anyway."
        )
    return list(dict.fromkeys(texts))


def _drift_note(comparison: Comparison) -> list[str]:
    """Return a sentence on the speed of the machine, unless both were timed in the same rounds."""
    if comparison.is_paired:
        return []
    if comparison.relative_to is None:
        return [_DRIFT]
    return [
        f"The ratios compare rates divided by those of {comparison.relative_to} in the same "
        "rounds: a machine that slows both loaders alike does not change them."
    ]


def _seems_to_differ(pair: RatePair) -> bool:
    """Whether nothing is certain although the interval of the ratio does not contain 1."""
    ratio = pair.ratio
    return (
        pair.outcome == "cannot tell"
        and ratio is not None
        and (ratio.lies_below(1) or ratio.lies_above(1))
    )


def _unknown_text(unknown: Unknown, *, is_gated: bool) -> str:
    text = (
        f"Whether {unknown.run} differs from the base in {', '.join(unknown.names)} is unknown: "
        "one of the records does not hold it"
    )
    if not (is_gated and unknown.blocking):
        return f"{text}."
    topics = ",".join(unknown.blocking)
    return f"{text}, so the run is not judged; --allow-different {topics} judges it anyway."


def _verdict(comparison: Comparison) -> str:
    """Return the result in one line, one sentence per run."""
    if comparison.is_paired:
        text = _rates_text(comparison.pairs)
        return text[0].upper() + text[1:]
    several = len(comparison.runs) > 2
    texts = []
    for index, run in enumerate(comparison.runs[1:], 1):
        text = _run_text(comparison, index)
        texts.append(f"{run.name}: {text}" if several else text[0].upper() + text[1:])
    return " ".join(texts)


def _run_text(comparison: Comparison, run: int) -> str:
    all_pairs = [one for one in comparison.pairs if one.run == run and one.reads_images]
    pairs = [one for one in all_pairs if one.name == one.base_name] or all_pairs
    stalls = [_stall_text(one) for one in comparison.stalls if one.run == run]
    trainings = [_training_text(one) for one in comparison.trainings if one.run == run]
    if stalls:
        pairs = [one for one in pairs if one.name.partition(",")[0] == END_TO_END]
    return " ".join([_rates_text(pairs), *stalls, *trainings])


def _rates_text(pairs: Sequence[RatePair]) -> str:
    if not pairs:
        return "nothing in common: no loader with the same settings is in both."
    texts = []
    for word in _WORDS:
        names = [_ratio_text(one) for one in pairs if one.outcome == word and not one.has_failed]
        if names:
            is_listed = word in ("slower", "faster") or len(names) <= _LISTED
            counted = f"{len(names)} of {len(pairs)}"
            texts.append(f"{word}: {', '.join(names) if is_listed else counted}")
    if failed := [pair_name(one) for one in pairs if one.has_failed]:
        texts.append(f"failed: {', '.join(failed)}")
    return "; ".join(texts) + "."


def _ratio_text(pair: RatePair) -> str:
    name = pair_name(pair)
    return name if pair.ratio is None else f"{name} (× {ratio_text(pair.ratio)})"


def _stall_text(change: StallChange) -> str:
    if change.base is None or change.other is None:
        return "One of the diagnoses has no verdict."
    now, then = change.other_bottleneck, change.base_bottleneck
    cause = f"{now}, as before" if now == then else f"{now}, before: {then}"
    return f"Stall: {change.other:.0%}, before: {change.base:.0%}. Bottleneck: {cause}."


def _training_text(change: TrainingChange) -> str:
    times = f"Training time {change.other_s:,.0f} s, base {change.base_s:,.0f} s"
    if change.accuracy is None:
        return f"{times}; accuracy is not compared: {change.not_compared}."
    return f"{times}; {change.accuracy.text}."
