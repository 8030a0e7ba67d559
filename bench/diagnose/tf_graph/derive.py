"""The mistakes in a user's pipeline with their gains, derived from the record of a diagnosis."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.compare import Comparison, Outcome, compare_with_reference
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import Rates
from feedbench.bench.diagnose.ceilings import (
    cores_used,
    find_part,
    median_rate,
    with_proven_blocks,
)
from feedbench.bench.diagnose.record import DiagnosisRecord, Part
from feedbench.bench.diagnose.tf_graph.changes import Pipeline, gain
from feedbench.bench.diagnose.tf_graph.finding import Finding
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.mistakes import find_mistakes
from feedbench.bench.diagnose.tf_graph.predict import Measured, pipeline_of
from feedbench.bench.diagnose.tf_graph.threads import is_timed
from feedbench.bench.diagnose.tries import CACHE_SHARE

_Place = tuple[str | None, int | None]  # name and stage of a mistake
_AS_IS: _Place = (None, None)
_UNTIMED = "the times of the stages were not measured"
_UNCERTAIN = "the rates were not measured well enough"


class Mistake(BaseModel):
    """A mistake or a piece of advice, and what undoing it gains.

    Attributes:
        name: of the mistake, in a few words.
        stage: index in the record's list of stages.
        file: of the line to change; empty if unknown.
        line: its number in the file; 0 if unknown.
        text: the line.
        sentence: what is wrong with it.
        write: what to write instead.
        gain: predicted, as a share of the rate end to end; None if only a measurement can tell.
        unknown: why there is no gain; empty if there is one.
        upper_bound: whether `gain` is one.
        tried: measured rate without the mistake ÷ the rate with it.
        outcome: whether the blocks show a difference.
        advice: whether the pipeline is right as it is, and could be faster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    stage: int
    file: str
    line: int
    text: str
    sentence: str
    write: str
    gain: float | None
    unknown: str = ""
    upper_bound: bool
    tried: Estimate | None = None
    outcome: Outcome | None = None
    advice: bool


def mistakes_in(record: DiagnosisRecord) -> list[Mistake]:
    """Return all mistakes, then all advice; the largest gain first, as measured or predicted."""
    graph = graph_of(record)
    if graph is None:
        return []
    pipeline, tried = _pipeline(record, graph), _tried(record)
    found = [
        _mistake(graph, one, pipeline, tried.get((one.name, one.stage)))
        for one in _findings(record, graph)
    ]
    return sorted(found, key=lambda one: (one.advice, -_gain(one), one.stage))


def _gain(mistake: Mistake) -> float:
    return mistake.gain or 0.0 if mistake.tried is None else mistake.tried.value - 1


def without_gains(record: DiagnosisRecord) -> list[Mistake]:
    """Return all mistakes of a record whose rates say nothing about what they cost."""
    unknown = {"gain": None, "unknown": _UNCERTAIN, "tried": None, "outcome": None}
    found = [one.model_copy(update=unknown) for one in mistakes_in(record)]
    return sorted(found, key=lambda one: (one.advice, one.stage))


def gain_of_all(record: DiagnosisRecord) -> float | None:
    """Return the predicted gain with all mistakes undone; None without several."""
    graph = graph_of(record)
    pipeline = _pipeline(record, graph) if graph is not None else None
    if graph is None or pipeline is None:
        return None
    changes = [one.change for one in _findings(record, graph) if one.change and not one.advice]
    after = pipeline
    for change in changes:
        after = change(after)
    return gain(pipeline, lambda _: after) if len(changes) > 1 else None


def graph_of(record: DiagnosisRecord) -> Graph | None:
    """Return the tf.data graph of the user's function; None without one."""
    return record.observed.graph if record.observed else None


def _findings(record: DiagnosisRecord, graph: Graph) -> list[Finding]:
    memory = round(CACHE_SHARE * record.available_memory_bytes)
    reference = find_part(record, "reference")
    return find_mistakes(graph, memory, _cpu_s(reference) if reference else None)


def _mistake(
    graph: Graph, finding: Finding, pipeline: Pipeline | None, comparison: Comparison | None
) -> Mistake:
    stage = graph.stages[finding.stage]
    predicted = None
    if pipeline is not None and finding.change is not None:
        predicted = gain(pipeline, finding.change)
    return Mistake(
        name=finding.name,
        stage=finding.stage,
        file=stage.file,
        line=stage.line,
        text=stage.text,
        sentence=finding.sentence,
        write=finding.write,
        gain=predicted,
        unknown=finding.unknown if pipeline else _UNTIMED,
        upper_bound=finding.bound,
        tried=comparison.ratio if comparison else None,
        outcome=comparison.outcome if comparison else None,
        advice=finding.advice,
    )


def _tried(record: DiagnosisRecord) -> dict[_Place, Comparison]:
    """Compare what was measured without each mistake, by its name and stage, with end to end.

    All of them are one family, with one rate of errors.
    """
    both = find_part(record, "end to end")
    tried: dict[_Place, Rates] = {
        (part.mistake, part.stage): rates
        for part in record.parts
        if part.name == "rewritten" and (rates := with_proven_blocks(part).rates)
    }
    if both is None:
        return {}
    return compare_with_reference({**tried, _AS_IS: with_proven_blocks(both).rates}, _AS_IS)


def _pipeline(record: DiagnosisRecord, graph: Graph) -> Pipeline | None:
    loader = find_part(record, "loader", record.cache_state)
    consumer, both = find_part(record, "consumer"), find_part(record, "end to end")
    if loader is None or consumer is None or both is None or not is_timed(graph):
        return None
    measured = Measured(
        loader_s=1 / median_rate(loader),
        consumer_s=1 / median_rate(consumer),
        both_s=1 / median_rate(both),
        consumer_cpu_s=_cpu_s(consumer),
        cores=record.cores,
    )
    return pipeline_of(graph, measured)


def _cpu_s(part: Part) -> float:
    """CPU seconds per image."""
    return cores_used(with_proven_blocks(part).blocks) / median_rate(part)
