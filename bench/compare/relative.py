"""Rates divided by those of a loader that all runs have, so that the machine's speed cancels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from feedbench.bench.compare.outcome import Measured, measured, paired_rates
from feedbench.bench.compare.subject import NamedRate, Subject
from feedbench.bench.errors import PlanError, RecordError

OPTION = "--relative-to"


def relative_to(subjects: Sequence[Subject], loader: str) -> list[Subject]:
    """Return the runs with each rate compared as a multiple of one loader's in the same rounds.

    That loader's own rates are compared as they are, and show how the machine has changed. Where
    the runs chose different winners and it is one of them, it counts as 1 beside the other.

    Args:
        loader: the name of a rate that all runs have, or of a loader that each has once.

    Raises:
        PlanError: the runs have no rounds, or a run has no such rate.
        RecordError: a rate of the loader has no blocks.
    """
    return [_relative(subject, reference_name(subject, loader)) for subject in subjects]


def reference_name(subject: Subject, loader: str) -> str:
    """Return the name of a run's rate that a name on the command line means.

    Raises:
        PlanError: the run has no rounds, or no such rate.
    """
    if subject.family != "trials":
        raise PlanError(
            f"{OPTION} {loader}: {subject.path} is a record of {subject.command}, whose rates "
            "have no rounds in common; give records of bench, tune or limits"
        )
    names = [loader] if loader in subject.rates else _of_loader(subject, loader)
    if len(names) == 1:
        return names[0]
    fault = "has several of this name" if names else "has no such loader"
    known = "; ".join(names or subject.rates)
    raise PlanError(f"{OPTION} {loader}: {subject.path} {fault}: {known}")


def _of_loader(subject: Subject, loader: str) -> list[str]:
    return [name for name in subject.rates if name.split(" ")[0] == loader]


def _relative(subject: Subject, name: str) -> Subject:
    reference = subject.rates[name].measured
    if reference is None or not reference.rates:
        reason = subject.rates[name].error or "the record does not hold its blocks"
        raise RecordError(f"{OPTION} {name}: {subject.path}: {reason}")
    rates = {
        other: _reference(rate, reference) if other == name else _compared(rate, reference)
        for other, rate in subject.rates.items()
    }
    return replace(subject, rates=rates)


def _reference(rate: NamedRate, itself: Measured) -> NamedRate:
    as_other = measured(paired_rates(itself, itself))
    return replace(rate, as_other=as_other, is_judged=False, reads_images=False)


def _compared(rate: NamedRate, reference: Measured) -> NamedRate:
    if rate.measured is None:
        return rate
    ratios = paired_rates(rate.measured, reference)
    if not ratios:
        return replace(rate, measured=None, error=f"no round in common with that of {OPTION}")
    return replace(rate, compared=measured(ratios))
