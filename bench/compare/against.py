"""Compares the trials of one run with one of them, over blocks of the same rounds."""

from __future__ import annotations

from pathlib import Path

from feedbench.bench.analysis.summary import counted
from feedbench.bench.compare.from_trials import measured_text
from feedbench.bench.compare.gate import judge
from feedbench.bench.compare.outcome import Measured, measured, paired
from feedbench.bench.compare.pairing import Candidate, decided
from feedbench.bench.compare.text import with_texts
from feedbench.bench.errors import RecordError
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial
from feedbench.bench.results.comparison import ComparedRun, Comparison
from feedbench.bench.trials.internal_loaders import is_choice


def compare_against(
    trials: list[Trial], old: str, folder: Path, limit: float | None = None
) -> Comparison:
    """Compare each trial that reads images with the old one.

    Args:
        trials: of one run.
        old: loader and settings of the trial to compare with.
        folder: of the run.
        limit: of `--fail-if-slower`, such as 0.05.

    Raises:
        RecordError: the old trial could not be measured.
    """
    trials = counted(trials)
    reference = next(trial for trial in trials if _name(trial) == old)
    if reference.error or not reference.blocks:
        raise RecordError(
            f"--against: {old} could not be measured: {reference.error or 'no block was timed'}; "
            "the others are not compared with it"
        )
    others = [trial for trial in trials if is_choice(trial.loader) and trial is not reference]
    pairs = [_candidate(trial, reference) for trial in others if trial.augment is None]
    comparison = Comparison(
        is_paired=True,
        runs=[
            ComparedRun(
                name=folder.name,
                path=str(folder),
                command="bench",
                measured=measured_text(trials),
                winner=None,
            )
        ],
        pairs=decided(pairs),
        gate=None if limit is None else judge(pairs, limit),
        verdict="",
    )
    return with_texts(comparison)


def _name(trial: Trial) -> str:
    return str(Choice(loader=trial.loader, settings=trial.settings, augment=trial.augment))


def _candidate(trial: Trial, reference: Trial) -> Candidate:
    ratio = None if trial.error else paired(trial.rates, reference.rates)
    rounds = sorted(trial.rates.keys() & reference.rates.keys())
    return Candidate(
        run=0,
        name=_name(trial),
        base_name=_name(reference),
        base=_rate(reference, rounds or list(reference.rates)),
        other=_rate(trial, rounds) if ratio is not None else None,
        ratio=ratio,
        blocks=(len(rounds), len(rounds)),
        differs=_other_pixels(trial),
        error=trial.error or (None if ratio else "no block was timed in the same round"),
    )


def _other_pixels(trial: Trial) -> tuple[str, ...]:
    """Say if the trial gives other images than the first one: it may do less work."""
    if trial.pixels is None or trial.pixels.within is not False:
        return ()
    worst, reference = trial.pixels.worst_mean, trial.pixels.reference
    return (f"pixels, by {worst:.1f} levels from {reference} in the worst image",)


def _rate(trial: Trial, rounds: list[int]) -> Measured:
    return measured({index: trial.rates[index] for index in rounds})
