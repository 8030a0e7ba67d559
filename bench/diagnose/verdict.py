"""The diagnosis derived from a record: bottleneck, ceilings, predictions, and the verdict."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import MIN_BLOCKS
from feedbench.bench.consumers.device import several_text
from feedbench.bench.diagnose.ceilings import Ceiling, ceilings
from feedbench.bench.diagnose.certainty import busy, disturbances, failed_checks, is_certain
from feedbench.bench.diagnose.fit import fitted
from feedbench.bench.diagnose.fixed import FixedSettings, best_fixed
from feedbench.bench.diagnose.predict import LEAST_GAIN, predictions, remedies
from feedbench.bench.diagnose.predict_cores import CoresNeeded, cores_needed
from feedbench.bench.diagnose.predict_service import WorkersNeeded, workers_needed
from feedbench.bench.diagnose.prediction import Prediction
from feedbench.bench.diagnose.rates import rates_of
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.stall import stall_of
from feedbench.bench.diagnose.stall_shares import StallPart, bottleneck, stall_parts
from feedbench.bench.diagnose.tf_graph.derive import (
    Mistake,
    gain_of_all,
    graph_of,
    mistakes_in,
    without_gains,
)
from feedbench.bench.diagnose.tf_graph.slowest import slowest_stage
from feedbench.bench.plan.plan import Choice


class Diagnosis(BaseModel):
    """Everything that is derived from the record of a diagnosis.

    Attributes:
        verdict: the result in words.
        bottleneck: the cause that accounts for most of the stall.
        end_to_end: images per second; None without a verdict.
        stall: share of the accelerator's time that is lost.
        shares: the stall divided among its causes.
        ceilings: the rate of each part alone.
        predictions: what changes would give.
        kappa: how far loader and consumer overlap: 0 entirely, 1 not at all, more if each slows
            the other.
        fixed: the best fixed settings of tf.data; None if AUTOTUNE has nothing to set.
        cores_needed: to keep accelerators busy; None if the consumer is not one.
        workers_needed: of a tf.data service, to keep the consumer busy; None without one.
        mistakes: in a user's tf.data pipeline, with advice after them.
        gain_of_all: predicted with all mistakes undone; None without several.
    """

    model_config = ConfigDict(extra="forbid")

    verdict: str
    bottleneck: StallPart | None = None
    end_to_end: float | None = None
    stall: Estimate | None = None
    shares: list[StallPart] = []
    ceilings: list[Ceiling]
    predictions: list[Prediction] = []
    kappa: float | None = None
    fixed: FixedSettings | None = None
    cores_needed: list[CoresNeeded] | None = None
    workers_needed: WorkersNeeded | None = None
    mistakes: list[Mistake] = []
    gain_of_all: float | None = None


def derive_diagnosis(record: DiagnosisRecord) -> Diagnosis:
    """Derive every figure and sentence from a record."""
    parts = ceilings(record)
    rates, stall = rates_of(record), stall_of(record)
    if rates is None or stall is None:
        sentences = [*_self_test_sentence(record), _no_verdict(record, parts)]
        return Diagnosis(verdict=" ".join(sentences), ceilings=parts)
    stall = _at_least_zero(stall)
    if not is_certain(stall):
        verdict = _uncertain(record, stall, parts)
        return Diagnosis(verdict=verdict, ceilings=parts, mistakes=without_gains(record))
    main_cause, predicted = bottleneck(rates), predictions(record, rates)
    mistakes = mistakes_in(record)
    sentences = [
        *_self_test_sentence(record),
        *_interrupted_sentence(parts, interrupted=record.interrupted),
        _bottleneck_sentence(record, main_cause, stall),
        *_advice(remedies(predicted), _mistakes_sentence(mistakes)),
    ]
    return Diagnosis(
        verdict=" ".join(sentences),
        bottleneck=main_cause,
        end_to_end=rates.end_to_end,
        stall=stall,
        shares=stall_parts(rates),
        ceilings=parts,
        predictions=predicted,
        kappa=fitted(rates).kappa,
        fixed=best_fixed(record),
        cores_needed=cores_needed(record, rates),
        workers_needed=workers_needed(record),
        mistakes=mistakes,
        gain_of_all=gain_of_all(record),
    )


def _self_test_sentence(record: DiagnosisRecord) -> list[str]:
    """Return which checks failed, since nothing that follows can then be trusted."""
    if not (failed := failed_checks(record)):
        return []
    used = f"; other programs used {text}" if (text := busy(record)) else ""
    return [f"Do not trust this diagnosis: self-test failed: {'; '.join(failed)}{used}."]


def _uncertain(record: DiagnosisRecord, stall: Estimate, parts: list[Ceiling]) -> str:
    """Return that nothing can be said, why, and what to do."""
    if stall.interval is None:
        why = [f"Fewer than {MIN_BLOCKS} rounds give no interval."]
        remedy = "Diagnose again."
    else:
        why, remedy = [], "Diagnose again on a quiet machine, or with a longer --seconds."
    sentences = [
        "Not measured well enough for a verdict: "
        f"{_with_consumer(record)} idles {stall:.0%} of the time.",
        *_interrupted_sentence(parts, interrupted=record.interrupted),
        *why,
        *disturbances(record),
        remedy,
    ]
    return " ".join(sentences)


def _with_consumer(record: DiagnosisRecord) -> str:
    loader = Choice(loader=record.loader, settings=record.settings)
    return f"with {loader}, {consumer_name(record)}"


def _interrupted_sentence(parts: list[Ceiling], *, interrupted: bool) -> list[str]:
    if not interrupted:
        return []
    rounds = max(part.blocks for part in parts if part.name == "end to end")
    return [f"Incomplete: the diagnosis was interrupted; end to end has timed blocks: {rounds}."]


def _no_verdict(record: DiagnosisRecord, parts: list[Ceiling]) -> str:
    for part in parts:
        unproven = None if part.blocks else next(iter(part.unproven), None)
        if reason := part.error or unproven:
            return f"No verdict: {part.name} could not be measured: {reason}"
    if record.interrupted:
        return (
            "No verdict: the diagnosis was interrupted before loader, consumer and end to end were "
            "measured in the same round."
        )
    return "No verdict: loader, consumer and end to end were not measured in the same rounds"


def _bottleneck_sentence(record: DiagnosisRecord, main: StallPart, stall: Estimate) -> str:
    consumer = consumer_name(record)
    loader = str(Choice(loader=record.loader, settings=record.settings))
    idle = f"{stall:.0%} of the time"
    share = f"{100 * main.stall:.0f} of these {100 * stall.value:.0f} points"
    match main.cause:
        case "accelerator":
            return (
                f"The bottleneck is the accelerator: {loader} keeps {consumer} busy; it idles only "
                f"{idle}."
            )
        case "transfer":
            return (
                f"The bottleneck is the copy to the device: {loader} keeps {consumer} busy; it "
                f"idles only {idle}, but most of each step is the copy of its batch."
            )
        case "unexplained" if stage := _stage_text(record):
            return f"The bottleneck is {stage}: {_with_consumer(record)} idles {idle}."
        case "unexplained":
            return (
                f"The bottleneck is the loader: with {loader}, {consumer} idles {idle}; work that "
                f"cannot be measured separately causes {share}{_remaining(main, 'it')}."
            )
        case "interference":
            return (
                f"The bottleneck is interference: with {loader}, {consumer} loses {idle}; "
                f"contention between loader and consumer causes {share}{_remaining(main, 'it')}."
            )
        case "service workers":
            cause = "the work of the service workers"
        case "transform" | "batch copy" | "network":
            cause = f"the {main.cause}"
        case _:
            cause = main.cause
    return (
        f"The bottleneck is {cause}: with {loader}, {consumer} idles {idle}; {cause} causes {share}"
        f"{_remaining(main, cause)}."
    )


def _stage_text(record: DiagnosisRecord) -> str:
    """Return the stage of a user's pipeline that does most of its work; empty if none is known."""
    graph = graph_of(record)
    slowest = None if graph is None else slowest_stage(graph)
    return f"{slowest.text}, {slowest.share:.0%} of the work of its pipeline" if slowest else ""


def _remaining(main: StallPart, name: str) -> str:
    if main.stall_without is None:
        return ""
    return f"; if {name} cost nothing, {main.stall_without:.0%} would remain"


def _advice(best: list[Prediction], mistakes: list[str]) -> list[str]:
    """Return what to change: that nothing helps is not said beside a mistake that is worth it."""
    return mistakes if mistakes and not best else [_remedies_sentence(best), *mistakes]


def _remedies_sentence(best: list[Prediction]) -> str:
    if not best:
        return f"None of the changes considered is predicted to gain {LEAST_GAIN:.0%} or more."
    gains = (f"{prediction.change} (+{prediction.gain:.0%})" for prediction in best)
    return f"Largest predicted gains: {', '.join(gains)}."


def _mistakes_sentence(mistakes: list[Mistake]) -> list[str]:
    """Return which lines of the user's pipeline to change, if that gains enough."""
    gains = [(one, text) for one in mistakes if (text := _gain_text(one))]
    lines = [f"line {one.line}: {one.name} ({text})" for one, text in gains]
    return [f"In your pipeline: {', '.join(lines)}."] if lines else []


def _gain_text(mistake: Mistake) -> str:
    """Return what undoing a mistake gains: measured, or else predicted; empty if not enough."""
    if mistake.tried is not None:
        gain = mistake.tried.value - 1
        doubt = "" if mistake.outcome == "faster" else ", but not certain"
        return f"{gain:+.0%}, measured{doubt}" if gain >= LEAST_GAIN else ""
    if mistake.gain is None or mistake.gain < LEAST_GAIN:
        return ""
    return f"{'up to ' if mistake.upper_bound else ''}{mistake.gain:+.0%}, predicted"


def headline(record: DiagnosisRecord) -> str:
    """Return the loader, the batch spec, the consumer and the cache state in one line."""
    spec = record.spec
    return (
        f"{Choice(loader=record.loader, settings=record.settings)} → {spec['image_size']} px, "
        f"batch {spec['batch_size']} → {consumer_name(record)}, {record.cache_state} files"
    )


def consumer_name(record: DiagnosisRecord) -> str:
    """Return what takes the batches, such as `an emulated A100`."""
    if record.accelerator is not None:
        return f"an emulated {record.accelerator['device']}"
    if record.consumer == "train":
        if several := several_text(record.devices):
            return f"the trainer on {several}"
        return "the trainer" if record.on_gpu else "the trainer on these cores"
    return record.consumer


def _at_least_zero(stall: Estimate) -> Estimate:
    """Replace negative values by 0: noise, by which end to end is faster than the consumer."""
    return Estimate.model_validate(
        {name: None if share is None else max(0.0, share) for name, share in dict(stall).items()}
    )
