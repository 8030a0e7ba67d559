"""What `diagnose` prints: ceilings, predictions, the nodes of a tf.data pipeline, the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from feedbench.bench.analysis.estimate import Estimate, rate_form
from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.ceilings import Ceiling, ceiling_of
from feedbench.bench.diagnose.fixed import settings_text
from feedbench.bench.diagnose.notes import notes
from feedbench.bench.diagnose.prediction import Prediction
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.record import Part as MeasuredPart
from feedbench.bench.diagnose.tf_graph.table import mistake_lines, stages_table
from feedbench.bench.diagnose.verdict import Diagnosis, consumer_name
from feedbench.bench.plan.plan import Choice
from feedbench.bench.report.document import (
    RATE,
    Column,
    Line,
    Part,
    TableData,
    estimates,
    only_csv,
    words,
)
from feedbench.bench.report.table import bytes_text
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


def headline(record: DiagnosisRecord) -> str:
    """Return what was diagnosed, in one line."""
    spec = record.spec
    return (
        f"{Choice(loader=record.loader, settings=record.settings)} → {spec['image_size']} px, "
        f"batch {spec['batch_size']} → {consumer_name(record)}, {record.cache_state} files"
    )


def parts(record: DiagnosisRecord, diagnosis: Diagnosis) -> Iterator[Part]:
    """Yield what is printed, the mistakes directly above the verdict."""
    yield Line(headline(record))
    if any(map(_is_measured, diagnosis.ceilings)):  # not if it was interrupted at the start
        yield ceilings_table(diagnosis)
    if diagnosis.predictions:
        yield predictions_table(diagnosis)
    if record.autotuned:
        yield nodes_table(record.autotuned)
    yield from map(Line, notes(record, diagnosis))
    if record.observed and record.observed.graph:
        yield stages_table(record.observed.graph)
    yield from _mistakes(diagnosis)
    yield from _verdict(diagnosis)


def derived_parts(diagnosis: Diagnosis) -> Iterator[Part]:
    """Yield what is printed of a diagnosis without its record."""
    yield ceilings_table(diagnosis)
    if diagnosis.predictions:
        yield predictions_table(diagnosis)
    yield from _mistakes(diagnosis)
    yield from _verdict(diagnosis)


def _mistakes(diagnosis: Diagnosis) -> Iterator[Line]:
    if diagnosis.mistakes:
        yield from (Line(text, form="whole") for text in mistake_lines(diagnosis.mistakes))


def _verdict(diagnosis: Diagnosis) -> Iterator[Line]:
    yield Line("")
    yield Line(diagnosis.verdict, "bold")


def _is_measured(ceiling: Ceiling) -> bool:
    return ceiling.blocks > 0 or bool(ceiling.unproven) or bool(ceiling.error)


def ceilings_table(diagnosis: Diagnosis) -> TableData[Ceiling]:
    """Return one row per part, in the order in which an image passes the parts."""
    return TableData(
        name="ceilings",
        title="Ceilings",
        columns=[
            words("part alone", "part", label, text=_part),
            estimates("images/s", "images_per_second", lambda row: row.images_per_second, RATE),
            Column("MB/s", "bytes_per_second", lambda row: row.bytes_per_second, _megabytes, 2),
            Column("CPU\ncores", "cpu_cores", lambda row: row.cores, "{:.2f}", 1),
            Column("blocks", "blocks", lambda row: row.blocks, _blocks, 0),
            only_csv("blocks_not_counted", lambda row: len(row.unproven)),
            only_csv("error", lambda row: row.error),
        ],
        rows=diagnosis.ceilings,
        styles=["bold" if row.name == "end to end" else "" for row in diagnosis.ceilings],
    )


def _part(ceiling: Ceiling) -> Text:
    text = Text(label(ceiling))
    if ceiling.error:
        text.append(f"\n{ceiling.error}", style="red")
    return text


def _megabytes(ceiling: Ceiling) -> str:
    return f"{ceiling.bytes_per_second / 1e6:,.0f}" if ceiling.bytes_per_second else ""


def _blocks(ceiling: Ceiling) -> str:
    discarded = len(ceiling.unproven)
    return f"{ceiling.blocks}" + (f" ({discarded} discarded)" if discarded else "")


def predictions_table(diagnosis: Diagnosis) -> TableData[Prediction]:
    """Return one row per prediction."""
    return TableData(
        name="what-if",
        title="What if",
        columns=[
            words("change", "change", lambda row: row.change, text=_change),
            only_csv("how", lambda row: row.how),
            Column("images/s", "images_per_second", _rate, _rate_text, has_interval=True),
            Column(
                "AU", "accelerator_utilization", lambda row: row.accelerator_utilization, "{:.0%}"
            ),
            Column("gain", "gain", lambda row: row.gain, _gain),
            words("assumed", "assumed", lambda row: row.assumes, importance=1),
            only_csv("needs_bytes", lambda row: row.needs_bytes),
            only_csv("fits", lambda row: row.fits),
        ],
        rows=diagnosis.predictions,
    )


def nodes_table(nodes: list[Node]) -> TableData[Node]:
    """Return one row per node of a tf.data pipeline, from the files to the batches."""
    return TableData(
        name="nodes",
        title="Where tf.data spends its time",
        columns=[
            words("node", "node", lambda row: row.name),
            words("parameters", "parameters", _parameters),
            Column(
                "busy or blocked,\nms per image",
                "busy_s_per_image",
                lambda row: row.processing_s,
                lambda row: f"{row.processing_s * 1e3:.3f}",
            ),
            Column(
                "MB\nbuffered",
                "buffered_bytes",
                lambda row: row.buffered_bytes,
                lambda row: f"{row.buffered_bytes / 1e6:.1f}",
                importance=1,
            ),
        ],
        rows=nodes,
    )


def _parameters(node: Node) -> str:
    marks = dict.fromkeys(node.autotuned, " (AUTOTUNE)")
    return ", ".join(
        f"{name} {value:g}{marks.get(name, '')}" for name, value in node.parameters.items()
    )


def _change(prediction: Prediction) -> str:
    return f"{prediction.change}: {prediction.how}{_memory_text(prediction)}"


def _gain(prediction: Prediction) -> str:
    return f"{round(prediction.gain, 2) + 0.0:+.0%}"


def _rate(prediction: Prediction) -> Estimate:
    """Return the rate with its range, which is no confidence interval."""
    return Estimate(value=prediction.images_per_second, low=prediction.low, high=prediction.high)


def _rate_text(prediction: Prediction) -> str:
    form = rate_form(prediction.images_per_second)
    rate = format(prediction.images_per_second, form)
    if prediction.low is None or prediction.high is None:
        return rate
    low, high = format(prediction.low, form), format(prediction.high, form)
    return rate if low == high else f"{rate} ({low}–{high})"


def _memory_text(prediction: Prediction) -> str:
    if prediction.needs_bytes is None:
        return ""
    verb = "fits" if prediction.fits else "does not fit"
    return f" ({bytes_text(prediction.needs_bytes)}: {verb})"


def part_runs(parts: Sequence[MeasuredPart]) -> list[LoggedRun]:
    """Return the parts as runs for TensorBoard."""
    return [part_run(number, part) for number, part in enumerate(parts, 1)]


def part_run(number: int, part: MeasuredPart) -> LoggedRun:
    """Return a part as a run for TensorBoard.

    Args:
        number: of the part in its record, from 1.
    """
    conditions = {"cache_state": part.cache_state, "parallel": part.parallel}
    known = {name: value for name, value in conditions.items() if value is not None}
    name = label(ceiling_of(part))
    return LoggedRun(number, name, {"part": part.name, **known}, part.blocks)
