"""A user's tf.data pipeline in a diagnosis: what to change, its stages, and AUTOTUNE's choices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.predict import LEAST_GAIN
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.tf_graph.derive import Mistake, graph_of
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.stages import GraphStage
from feedbench.bench.diagnose.tf_graph.threads import is_timed, stage_work
from feedbench.bench.html.charts.dots import Dot, Line, dot_of
from feedbench.bench.html.kinds.cells import Field, dots_chart, number, table_of
from feedbench.bench.html.parts import Chart, Code, Details, Figure, Part, Section, Table, Text

_FEW = 2  # gains from which a chart compares them


def mistakes_section(mistakes: Sequence[Mistake]) -> Iterator[Section]:
    """Yield what to change in the user's pipeline: the line, what to write, and the gain."""
    if not mistakes:
        return
    idle = [one for one in mistakes if _gains_nothing(one)]
    worth = [one for one in mistakes if not _gains_nothing(one)]
    parts: list[Part] = [part for one in worth for part in _mistake(one)]
    if idle:
        closed = [part for one in idle for part in _mistake(one)]
        parts.append(Details(f"Gains nothing: {', '.join(one.name for one in idle)}", closed))
    if chart := _gains_chart(mistakes):
        parts.append(chart)
    parts.append(table_of("Mistakes and advice", _MISTAKE_FIELDS, mistakes))
    yield Section("What to change in your pipeline", parts, "mistakes")


def change_to_make(mistakes: Sequence[Mistake]) -> str | None:
    """Return what to write into which line, for the largest gain; None if nothing gains enough."""
    paying = [one for one in mistakes if not one.advice and _gain(one) >= LEAST_GAIN]
    if not paying:
        return None
    best = max(paying, key=_gain)
    return f"# {_place(best)}: {best.name}\n{best.write}"


def _gain(one: Mistake) -> float:
    """Return the measured gain, or else the predicted one; 0 if it is not known or not certain."""
    if one.tried is not None:
        return one.tried.value - 1 if one.outcome == "faster" else 0.0
    return one.gain or 0.0


def _gains_nothing(one: Mistake) -> bool:
    """Whether undoing a mistake makes no difference, as measured or else as predicted."""
    if one.tried is not None:
        return one.outcome in ("tie", "slower")
    return one.gain is not None and one.gain < LEAST_GAIN


def _mistake(one: Mistake) -> Iterator[Part]:
    kind = f"{'advice: ' if one.advice else ''}{one.name}"
    yield Text(f"{_place(one)}: {kind}. Gain: {_gain_text(one)}.", "verdict")
    yield Text(one.sentence)
    now = [f"now:   {one.text}"] if one.text else []
    yield Code("\n".join([*now, f"write: {one.write}"]))


def _gain_text(one: Mistake) -> str:
    if one.tried is not None:
        tried, ends = one.tried, one.tried.interval
        interval = f" [{ends[0] - 1:+.0%}, {ends[1] - 1:+.0%}]" if ends else ""
        return f"{round(tried.value - 1, 2) + 0.0:+.0%}{interval}, measured"
    if one.gain is None:
        return f"not known ({one.unknown})"
    return f"{_predicted_text(one)}, predicted"


def _predicted_text(one: Mistake) -> str:
    return f"{'up to ' if one.upper_bound else ''}{round(one.gain or 0.0, 2) + 0.0:+.0%}"


def _gains_chart(mistakes: Sequence[Mistake]) -> Chart | None:
    """Return the gains beside each other; None for a single one."""
    known = [one for one in mistakes if one.gain is not None or one.tried is not None]
    if len(known) < _FEW:
        return None
    most = max(known, key=_gain)
    return dots_chart(
        f"{most.name}, {_place(most)}: the largest gain, {_gain(most):+.0%}",
        "Gain of undoing each mistake: measured with its interval where it was tried, else "
        "predicted; where it was tried, the prediction is the hollow mark.",
        [_gain_dot(one) for one in known],
        "rate after the change ÷ now",
        [Line(1.0, "no gain")],
        figures=("Gains", "gain"),
    )


def _gain_dot(one: Mistake) -> Dot:
    """Return the measured gain with its interval, the predicted one beside it; or that alone."""
    name, predicted = f"{one.name}, {_place(one)}", None if one.gain is None else 1 + one.gain
    if one.tried is None:
        return Dot(name, predicted or 1.0, _gain_text(one), brief=_predicted_text(one))
    dot = dot_of(name, one.tried, ".2f")
    brief = f"{round(one.tried.value - 1, 2) + 0.0:+.0%}"
    return replace(dot, text=_gain_text(one), other=predicted, brief=brief)


def _place(one: Mistake) -> str:
    return f"{Path(one.file).name}:{one.line}" if one.line else "unknown line"


def _measured(one: Mistake) -> Figure | None:
    if (tried := one.tried) is None:
        return None
    low, high = (None if end is None else end - 1 for end in (tried.low, tried.high))
    return Figure(tried.value - 1, low, high, "+.0%")


_MISTAKE_FIELDS: list[Field[Mistake]] = [
    Field("mistake", lambda one: f"advice: {one.name}" if one.advice else one.name),
    Field("gain measured [95 %]", _measured),
    Field("gain predicted", lambda one: number(one.gain, "+.0%")),
    Field("line", _place),
]


def stages_section(record: DiagnosisRecord) -> Iterator[Section]:
    """Yield the stages of the user's pipeline with its lines, and what tf.data made of them."""
    graph = graph_of(record)
    parts: list[Part] = [] if graph is None else [*_listings(graph.stages), _stages(graph)]
    if record.autotuned:
        parts.append(table_of("Where tf.data spends its time", _NODE_FIELDS, record.autotuned))
    if parts:
        title = "The tf.data pipeline" if graph is None else "The stages of your pipeline"
        yield Section(title, parts, "pipeline")


def _listings(stages: Sequence[GraphStage]) -> Iterator[Code]:
    """Yield the lines of each file that the stages name: all of it that the record holds."""
    files: dict[str, dict[int, str]] = defaultdict(dict)
    for stage in stages:
        if stage.line and stage.text:
            files[stage.file][stage.line] = stage.text
    for file, lines in files.items():
        text = "\n".join(f"{line:>4}  {lines[line]}" for line in sorted(lines))
        yield Code(text, f"{Path(file).name}, the lines that make stages")


class _Stage(NamedTuple):
    """A stage with its time.

    Attributes:
        seconds: per image, on one thread; None if it was not measured.
        share: of all stages.
    """

    stage: GraphStage
    seconds: float | None
    share: float | None


def _stages(graph: Graph) -> Table:
    work = stage_work(graph)
    total = sum(work) or 1.0
    rows = [
        _Stage(stage, seconds, seconds / total) if is_timed(graph) else _Stage(stage, None, None)
        for stage, seconds in zip(graph.stages, work, strict=True)
    ]
    most = max(row.seconds or 0.0 for row in rows)
    return table_of(
        "Stages, from the source to the batches",
        _STAGE_FIELDS,
        rows,
        lambda row: bool(most) and row.seconds == most,
    )


_STAGE_FIELDS: list[Field[_Stage]] = [
    Field(
        "stage",
        lambda row: row.stage.method if row.stage.own else f"{row.stage.method} (by a library)",
    ),
    Field(
        "ms per image",
        lambda row: number(row.seconds, ",.3f", scale=1e-3),
        "on one thread",
    ),
    Field("share", lambda row: number(row.share, ".0%"), "of all stages"),
    Field("line", lambda row: row.stage.line or None),
]
_NODE_FIELDS: list[Field[Node]] = [
    Field("node", lambda node: node.name),
    Field("parameters", lambda node: ", ".join(_parameters(node))),
    Field(
        "ms per image",
        lambda node: number(node.processing_s, ",.3f", scale=1e-3),
        "busy or blocked, summed over threads",
    ),
    Field("MB buffered", lambda node: number(node.buffered_bytes, ",.1f", scale=1e6)),
]


def _parameters(node: Node) -> Iterator[str]:
    for name, value in node.parameters.items():
        yield f"{name} {value:g}" + (" (AUTOTUNE)" if name in node.autotuned else "")
