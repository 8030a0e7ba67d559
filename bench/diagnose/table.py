"""The tables of a diagnosis: ceilings, predictions, and the nodes of a tf.data pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.ceilings import Ceiling, ceiling_of
from feedbench.bench.diagnose.fixed import settings_text
from feedbench.bench.diagnose.prediction import Prediction
from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.report.table import or_dash
from feedbench.bench.report.tensorboard import LoggedRun


def label(ceiling: Ceiling) -> str:
    """Return the name of a part with its conditions, such as `storage, cold, 4 at once`."""
    if ceiling.name == "fixed":
        return settings_text(ceiling.settings or {})
    words: list[str] = [ceiling.name]
    if ceiling.mistake is not None:
        words = [f"end to end without: {ceiling.mistake}"]
    elif ceiling.name == "reference":
        words = ["the same images, decoded by TensorFlow"]
    if ceiling.cache_state is not None:
        words.append(ceiling.cache_state)
    if ceiling.name == "storage" and ceiling.parallel is not None:
        words.append(f"{ceiling.parallel} at once")
    elif ceiling.parallel is not None and ceiling.name != "storage in order":
        words.append("1 core" if ceiling.parallel == 1 else f"{ceiling.parallel} cores")
    return ", ".join(words)


def ceilings_table(diagnosis: Diagnosis) -> Table:
    """Return one row per part, in the order in which an image passes the parts."""
    table = Table("part alone", title="Ceilings", title_justify="left")
    for heading in ("images/s [95 %]", "MB/s", "CPU cores", "blocks"):
        table.add_column(heading, justify="right")
    for ceiling in diagnosis.ceilings:
        rate, discarded = ceiling.images_per_second, len(ceiling.unproven)
        table.add_row(
            label(ceiling),
            f"{rate:,.0f}" if rate else ceiling.error or "–",
            f"{ceiling.bytes_per_second / 1e6:,.0f}" if ceiling.bytes_per_second else "",
            or_dash(ceiling.cores, ".2f"),
            f"{ceiling.blocks}" + (f" ({discarded} discarded)" if discarded else ""),
            style="bold" if ceiling.name == "end to end" else "",
        )
    return table


def predictions_table(diagnosis: Diagnosis) -> Table:
    """Return one row per prediction."""
    table = Table(title="What if", title_justify="left")
    table.add_column("change")
    for heading in ("images/s", "AU", "gain"):
        table.add_column(heading, justify="right")
    table.add_column("assumed", overflow="fold")
    for prediction in diagnosis.predictions:
        table.add_row(
            f"{prediction.change}: {prediction.how}{_memory_text(prediction)}",
            _rate_text(prediction),
            f"{prediction.accelerator_utilization:.0%}",
            f"{round(prediction.gain, 2) + 0.0:+.0%}",
            prediction.assumes,
        )
    return table


def nodes_table(nodes: list[Node]) -> Table:
    """Return one row per node of a tf.data pipeline, from the files to the batches."""
    table = Table(title="Where tf.data spends its time", title_justify="left")
    table.add_column("node")
    table.add_column("parameters", overflow="fold")
    for heading in ("busy or blocked, ms per image", "MB buffered"):
        table.add_column(heading, justify="right")
    for node in nodes:
        marks = dict.fromkeys(node.autotuned, " (AUTOTUNE)")
        parameters = (
            f"{name} {value:g}{marks.get(name, '')}" for name, value in node.parameters.items()
        )
        spent_ms, buffered_mb = node.processing_s * 1e3, node.buffered_bytes / 1e6
        table.add_row(node.name, ", ".join(parameters), f"{spent_ms:.3f}", f"{buffered_mb:.1f}")
    return table


def _rate_text(prediction: Prediction) -> str:
    rate = f"{prediction.images_per_second:,.0f}"
    if prediction.low is None or prediction.high is None:
        return rate
    low, high = f"{prediction.low:,.0f}", f"{prediction.high:,.0f}"
    return rate if low == high else f"{rate} ({low}–{high})"


def _memory_text(prediction: Prediction) -> str:
    if prediction.needs_bytes is None:
        return ""
    verb = "fits" if prediction.fits else "does not fit"
    return f" ({prediction.needs_bytes / 1e9:.2f} GB: {verb})"


def part_runs(parts: Sequence[Part]) -> list[LoggedRun]:
    """Return the parts as runs for TensorBoard."""
    runs = []
    for part in parts:
        conditions = {"cache_state": part.cache_state, "parallel": part.parallel}
        known = {name: value for name, value in conditions.items() if value is not None}
        runs.append(LoggedRun(label(ceiling_of(part)), {"part": part.name, **known}, part.blocks))
    return runs
