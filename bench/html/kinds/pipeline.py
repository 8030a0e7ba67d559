"""A user's tf.data pipeline in a diagnosis: its stages, mistakes, and what AUTOTUNE chose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.tf_graph.derive import Mistake, graph_of
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.table import mistake_lines
from feedbench.bench.diagnose.tf_graph.threads import is_timed, stage_work
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.kinds.cells import dots_table, listed, number
from feedbench.bench.html.parts import Cell, Chart, Code, Column, Figure, Part, Section, Table


def pipeline_sections(record: DiagnosisRecord, diagnosis: Diagnosis) -> Iterator[Section]:
    """Yield what is known of a pipeline of tf.data; nothing for other loaders."""
    graph = graph_of(record)
    parts: list[Part] = []
    if diagnosis.mistakes:
        parts += _mistakes(diagnosis.mistakes)
    if graph is not None:
        parts += _stages(graph)
    if record.autotuned:
        parts.append(_nodes(record.autotuned))
    if parts:
        yield Section("The tf.data pipeline", parts, "pipeline")


def _mistakes(mistakes: Sequence[Mistake]) -> Iterator[Part]:
    rows = [_gain_dot(one) for one in mistakes if one.gain is not None]
    if rows:
        first = next(one for one in mistakes if one.gain is not None)
        yield Chart(
            f"{_place(first)}: {first.name} costs most",
            "Predicted gain of undoing each mistake, and where it was tried, the measured one with "
            f"its interval. {listed(rows)}",
            dots(rows, "rate without it ÷ rate", [Line(1.0, "no gain")], zero=False),
            table=dots_table("Gains", "predicted, measured", rows),
        )
    yield _mistakes_table(mistakes)
    yield Code("\n".join(mistake_lines(list(mistakes))), "What to write instead")


def _gain_dot(one: Mistake) -> Dot:
    """Return the measured gain with its interval, the predicted one beside it; or that alone."""
    predicted = 1 + (one.gain or 0.0)
    text = f"{'up to ' if one.upper_bound else ''}{predicted - 1:+.0%} predicted"
    name = f"{_place(one)}: {one.name}"
    if one.tried is None:
        return Dot(name, predicted, text)
    measured = f"{one.tried.value - 1:+.0%} measured, {text}"
    return Dot(name, one.tried.value, measured, one.tried.low, one.tried.high, other=predicted)


def _place(one: Mistake) -> str:
    return f"{Path(one.file).name}:{one.line}" if one.line else "unknown line"


def _mistakes_table(mistakes: Sequence[Mistake]) -> Table:
    columns = [
        Column("line"),
        Column("mistake"),
        Column("why"),
        Column("gain predicted", numeric=True),
        Column("gain measured [95 %]", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            _place(one),
            f"advice: {one.name}" if one.advice else one.name,
            one.sentence,
            number(one.gain, "+.0%"),
            _measured(one.tried),
        ]
        for one in mistakes
    ]
    return Table("Mistakes and advice", columns, rows)


def _measured(tried: Estimate | None) -> Figure | None:
    if tried is None:
        return None
    low = None if tried.low is None else tried.low - 1
    return Figure(tried.value - 1, low, None if tried.high is None else tried.high - 1, "+.0%")


def _stages(graph: Graph) -> Iterator[Part]:
    work, timed = stage_work(graph), is_timed(graph)
    total = sum(work) or 1.0
    columns = [
        Column("stage"),
        Column("line", numeric=True),
        Column("ms per image", "on one thread", numeric=True),
        Column("share", "of all stages", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            stage.method if stage.own else f"{stage.method} (by a library)",
            stage.line or None,
            number(seconds, ",.3f", scale=1e-3) if timed else None,
            number(seconds / total, ".0%") if timed else None,
        ]
        for stage, seconds in zip(graph.stages, work, strict=True)
    ]
    slowest = max(range(len(work)), key=work.__getitem__, default=0)
    marked = frozenset({slowest} if timed and work else ())
    yield Table("Stages, from the source to the batches", columns, rows, marked)


def _nodes(nodes: Sequence[Node]) -> Table:
    columns = [
        Column("node"),
        Column("parameters"),
        Column("ms per image", "busy or blocked, summed over threads", numeric=True),
        Column("MB buffered", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            node.name,
            ", ".join(_parameters(node)),
            number(node.processing_s, ",.3f", scale=1e-3),
            number(node.buffered_bytes, ",.1f", scale=1e6),
        ]
        for node in nodes
    ]
    return Table("Where tf.data spends its time", columns, rows)


def _parameters(node: Node) -> Iterator[str]:
    for name, value in node.parameters.items():
        yield f"{name} {value:g}" + (" (AUTOTUNE)" if name in node.autotuned else "")
