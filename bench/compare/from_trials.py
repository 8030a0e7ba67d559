"""What can be compared of a bench, a tune, a limits or a monitored `fit`: the rates of trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from feedbench.bench.analysis.contention import busy_text
from feedbench.bench.analysis.summary import TrialSummary, counted
from feedbench.bench.compare.outcome import Measured, measured
from feedbench.bench.compare.subject import (
    ACCELERATOR_COST,
    Facts,
    NamedRate,
    Subject,
    code_facts,
    condition_facts,
    device_text,
    digest_text,
    environment_in,
    flat,
    recipe_facts,
    spec_facts,
    version_facts,
)
from feedbench.bench.described import PRINTED
from feedbench.bench.environment import machine
from feedbench.bench.limits.limits import MachineLimits
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial
from feedbench.bench.report.summary_text import consumer_text, headline
from feedbench.bench.results.kinds import BenchResult, FitResult, LimitsResult, TuneResult
from feedbench.bench.trials.internal_loaders import is_choice
from feedbench.bench.trials_file import TRIALS, read_trials
from feedbench.bench.tune.record import TuneRecord
from feedbench.loaders import short_name


def of_bench(result: BenchResult) -> Subject:
    """Return what can be compared of a bench."""
    summary = result.summary
    if not result.trials:
        return _without_trials(result)
    winner = None if summary.winner is None else result.trials[summary.winner]
    return of_trials(result.path, "bench", result.trials, winner)


def of_fit(result: FitResult) -> Subject:
    """Return what can be compared of a monitored `fit`."""
    return of_trials(result.path, "FitMonitor", result.trials, None)


def of_limits(result: LimitsResult) -> Subject:
    """Return what can be compared of the limits of a machine.

    The limits show the speed of the machine, and do not count for `--fail-if-slower`.
    """
    subject = of_trials(result.path, "limits", result.trials, None)
    return replace(subject, rates=subject.rates | _disk_rates(result.limits))


def _disk_rates(limits: MachineLimits) -> dict[str, NamedRate]:
    return {
        limit.name: NamedRate(
            measured=Measured(limit.images_per_second, 0) if limit.images_per_second else None,
            error=limit.error,
            is_judged=False,
            reads_images=False,
        )
        for limit in limits.limits
        if limit.name.startswith("disk") and limit.images_per_second and not limit.error
    }


def of_tune(result: TuneResult) -> Subject:
    """Return what can be compared of a search: each choice that has blocks, or else its best."""
    folder, best = result.path.parent, result.record.best
    if result.path.name == "tune.json" and (folder / TRIALS).is_file():
        trials = read_trials(folder)
        name = None if best is None else _text(best.loader, best)
        chosen = [one for one in trials if _choice_text(one) == name]
        return of_trials(result.path, "tune", trials, next(iter(chosen), None))
    return _best_alone(result.path, result.record)


def _best_alone(path: Path, record: TuneRecord) -> Subject:
    rate, about = record.images_per_second, record.about
    rates = {}
    if record.best is not None and rate is not None:
        rates = {_text(record.best.loader, record.best): NamedRate(Measured(rate, 0))}
    profile = about.get("accelerator")
    spec, recipe = about.get("spec", {}), about.get("recipe", {})
    facts: Facts = {
        "consumer": _consumer(str(about.get("consumer")), profile),
        "batches": spec_facts(spec),
        "recipe": recipe_facts(recipe) if about.get("consumer") == "train" else {},
        **_environment_facts(path.parent),
    }
    return Subject(
        path=path,
        command="tune",
        family="trials",
        measured=f"the best of a search, consumer {about.get('consumer')}",
        facts=facts,
        rates=rates,
        winner=next(iter(rates), None),
    )


def _without_trials(result: BenchResult) -> Subject:
    """Return what the summary.json of a bench holds: rates without blocks and conditions."""
    summary = result.summary
    rates = {_choice_text(trial): _rate_of_summary(trial) for trial in summary.trials}
    winner = None if summary.winner is None else _choice_text(summary.trials[summary.winner])
    return Subject(
        path=result.path,
        command="bench",
        family="trials",
        measured="the summary of a bench, without its conditions" if rates else "nothing",
        facts=_environment_facts(result.path.parent),
        rates=rates,
        winner=winner,
    )


def _rate_of_summary(trial: TrialSummary) -> NamedRate:
    rate = trial.images_per_second
    return NamedRate(
        measured=None if rate is None else Measured(rate, trial.blocks),
        error=trial.error,
        is_judged=is_choice(trial.loader),
        reads_images=is_choice(trial.loader),
    )


def _environment_facts(folder: Path) -> Facts:
    facts = environment_in(folder)
    if not facts:
        return {}
    return {"machine": flat(machine(facts)), "versions": flat(version_facts(facts))}


def of_trials(path: Path, command: str, trials: list[Trial], winner: Trial | None) -> Subject:
    """Return what can be compared of trials.

    Args:
        winner: the trial that the run chose, if any.
    """
    trials = counted(trials)
    name = namer(trials)
    return Subject(
        path=path,
        command=command,
        family="trials",
        measured=measured_text(trials),
        facts=_facts(trials, path.parent) if trials else {},
        rates={name(trial): _rate(trial) for trial in trials},
        winner=None if winner is None else name(winner),
        busy=busy_text(trials),
    )


def measured_text(trials: list[Trial]) -> str:
    """Return what was measured; a monitored `fit` has no batch spec."""
    if trials and not trials[0].spec.keys() >= set(PRINTED):
        return consumer_text(trials[0])
    return headline(trials)


def namer(trials: Iterable[Trial]) -> Callable[[Trial], str]:
    """Return the function that names trials for pairing.

    A user's file is named without its folder, so that two versions of it are paired, unless two
    trials would then have one name.
    """
    names = [_name(trial) for trial in trials]
    return _name if len(set(names)) == len(names) else _choice_text


def _name(trial: Trial) -> str:
    if trial.own is None:
        return _choice_text(trial)
    return _text(f"{Path(trial.own.file).name}:{short_name(trial.loader)}", trial)


def _choice_text(trial: Trial | TrialSummary) -> str:
    return _text(trial.loader, trial)


def _text(loader: str, choice: Trial | TrialSummary | Choice) -> str:
    """Return loader and settings, the latter by name: their order says nothing."""
    settings = dict(sorted(choice.settings.items()))
    return str(Choice(loader=loader, settings=settings, augment=choice.augment, alone=choice.alone))


def _rate(trial: Trial) -> NamedRate:
    rates = trial.rates
    own = {} if trial.own is None else {"file": digest_text(trial.own.digest)}
    given = is_choice(trial.loader)
    return NamedRate(
        measured=measured(rates) if rates and not trial.error else None,
        error=trial.error,
        is_judged=given,
        reads_images=given,
        details={**flat(trial.all_settings), **own},
    )


def _facts(trials: list[Trial], folder: Path) -> Facts:
    """Return the conditions of trials, which are equal for all."""
    trial = next((one for one in trials if one.augment is None), trials[0])
    states = [one.cache_state for one in trials if one.cache_state is not None]
    facts = condition_facts(trial, folder, trial.images)
    device = device_text(trial)
    return {
        **facts,
        "consumer": _consumer(trial.consumer, trial.accelerator),
        "batches": spec_facts(trial.spec),
        "recipe": _recipe(trial),
        "cache": {"cache state": states[0] if states else "as it was"},
        "machine": facts["machine"] | ({"device": device} if device else {}),
        "code": code_facts(trial.model),
    }


def _recipe(trial: Trial) -> dict[str, str]:
    """Return the recipe where it matters: a consumer that does not train has none."""
    if trial.consumer == "fit":
        return flat(trial.recipe)
    return recipe_facts(trial.recipe) if trial.consumer == "train" else {}


def _consumer(name: str, profile: dict[str, Any] | None) -> dict[str, str]:
    values = {f"accelerator's {key}": (profile or {}).get(key) for key in ACCELERATOR_COST}
    known = {key: value for key, value in values.items() if value is not None}
    return flat({"consumer": name, **known})
