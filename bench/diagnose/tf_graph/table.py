"""What is printed of a user's tf.data pipeline: its stages, and the mistakes in it."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from feedbench.bench.diagnose.tf_graph.align import aligned
from feedbench.bench.diagnose.tf_graph.derive import Mistake
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode
from feedbench.bench.diagnose.tf_graph.threads import is_timed, stage_work


def stages_table(graph: Graph) -> Table:
    """Return one row per stage, from the source to the batches."""
    table = Table(title="Stages of the tf.data pipeline", title_justify="left")
    table.add_column("stage")
    table.add_column("line", justify="right")
    table.add_column("one thread, ms per image", justify="right")
    table.add_column("share", justify="right")
    table.add_column("as tf.data runs it", overflow="fold")
    work, nodes, timed = stage_work(graph), graph.as_is.nodes, is_timed(graph)
    total = sum(work) or 1.0
    owners = aligned(nodes, graph.stages)
    for stage, seconds, indices in zip(graph.stages, work, owners, strict=True):
        name = stage.method if stage.own else f"{stage.method} (by a library)"
        runs = node_text(nodes[indices[-1]]) if indices else ""
        times = (f"{seconds * 1e3:.3f}", f"{seconds / total:.0%}") if timed else ("–", "–")
        table.add_row(name, str(stage.line or ""), *times, runs)
    for node in nodes[max((i[-1] for i in owners if i), default=-1) + 1 :]:
        table.add_row("(added by tf.data)", "", "", "", node_text(node))
    return table


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
        gain = f"gain {_gain_text(mistake)}"
        tried = f"; {_tried_text(mistake)}, measured" if mistake.tried else ""
        lines += [
            f"{where}  {kind}: {mistake.sentence}",
            *([f"    line:  {mistake.text}"] if mistake.text else []),
            f"    write: {mistake.write}",
            f"    {gain}{tried}",
        ]
    return lines


def _gain_text(mistake: Mistake) -> str:
    if mistake.gain is None:
        return f"unknown ({mistake.unknown})"
    bound = "up to " if mistake.upper_bound else ""
    return f"{bound}{round(mistake.gain, 2) + 0.0:+.0%}, predicted"


def _tried_text(mistake: Mistake) -> str:
    ratio = mistake.tried
    if ratio is None:
        return ""
    text = f"{ratio.value - 1:+.0%}"
    if ratio.low is None or ratio.high is None:
        return text
    return f"{text} [{ratio.low - 1:+.0%}, {ratio.high - 1:+.0%}]"
