"""What is printed of a user's tf.data pipeline: its stages, and the mistakes in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.tf_graph.align import aligned
from feedbench.bench.diagnose.tf_graph.derive import Mistake
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode
from feedbench.bench.diagnose.tf_graph.threads import is_timed, stage_work
from feedbench.bench.report.document import Column, TableData, words


@dataclass(frozen=True)
class _Stage:
    """A stage of the pipeline, or a node that tf.data adds."""

    name: str
    line: int | None = None
    seconds: float | None = None
    share: float | None = None
    runs: str = ""


def stages_table(graph: Graph) -> TableData[_Stage]:
    """Return one row per stage, from the source to the batches."""
    return TableData(
        name="stages",
        title="Stages of the tf.data pipeline",
        columns=[
            words("stage", "stage", lambda row: row.name),
            Column("line", "line", lambda row: row.line),
            Column(
                "one thread,\nms per image",
                "one_thread_s_per_image",
                lambda row: row.seconds,
                lambda row: "" if row.seconds is None else f"{row.seconds * 1e3:.3f}",
            ),
            Column("share", "share", lambda row: row.share, "{:.0%}"),
            words("as tf.data runs it", "runs_as", lambda row: row.runs, importance=1),
        ],
        rows=list(_stages(graph)),
    )


def _stages(graph: Graph) -> Iterator[_Stage]:
    work, nodes, timed = stage_work(graph), graph.as_is.nodes, is_timed(graph)
    total = sum(work) or 1.0
    owners = aligned(nodes, graph.stages)
    for stage, seconds, indices in zip(graph.stages, work, owners, strict=True):
        name = stage.method if stage.own else f"{stage.method} (by a library)"
        runs = node_text(nodes[indices[-1]]) if indices else ""
        found = _Stage(name, stage.line or None, runs=runs)
        yield replace(found, seconds=seconds, share=seconds / total) if timed else found
    for node in nodes[max((i[-1] for i in owners if i), default=-1) + 1 :]:
        yield _Stage("(added by tf.data)", runs=node_text(node))


def node_text(node: ChainNode) -> str:
    """Return a node of tf.data with its values, such as `Prefetch, buffer_size 2 (AUTOTUNE)`."""
    values = (
        f"{name} {value:g}" + (" (AUTOTUNE)" if name in node.autotuned else "")
        for name, value in node.parameters.items()
    )
    return ", ".join([node.name, *values])


def mistake_lines(mistakes: list[Mistake]) -> list[str]:
    """Return lines of text for each mistake or piece of advice, after a title."""
    lines = ["Mistakes, and what to write instead"]
    for mistake in mistakes:
        where = f"{Path(mistake.file).name}:{mistake.line}" if mistake.line else "(unknown line)"
        kind = f"{'advice: ' if mistake.advice else ''}{mistake.name}"
        lines += [
            f"{where}  {kind}: {mistake.sentence}",
            *([f"    line:  {mistake.text}"] if mistake.text else []),
            f"    write: {mistake.write}",
            f"    gain {_gain_text(mistake)}",
        ]
    return lines


def _gain_text(mistake: Mistake) -> str:
    """Return the measured gain with the predicted one after it, or else the predicted one."""
    if mistake.tried is not None:
        predicted = "" if mistake.gain is None else f" (predicted: {_percent(mistake.gain)})"
        return f"{_tried_text(mistake.tried)}, measured{predicted}"
    if mistake.gain is None:
        return f"unknown ({mistake.unknown})"
    bound = "up to " if mistake.upper_bound else ""
    return f"{bound}{_percent(mistake.gain)}, predicted"


def _percent(gain: float) -> str:
    """Return a gain without the sign of a zero."""
    return f"{round(gain, 2) + 0.0:+.0%}"


def _tried_text(ratio: Estimate) -> str:
    text = _percent(ratio.value - 1)
    if ratio.low is None or ratio.high is None:
        return text
    return f"{text} [{_percent(ratio.low - 1)}, {_percent(ratio.high - 1)}]"
