"""Notes on a user's own function: which files it opens, and where its pipeline spends its time."""

from __future__ import annotations

from feedbench.bench.diagnose.own import Observed, Opened
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.tf_graph.slowest import SlowestStage, slowest_stage
from feedbench.bench.diagnose.verdict import Diagnosis

_UNTIMED = (
    "The times of the stages could not be measured: tf.data dropped them from its model at the end "
    "of an epoch, which has too few batches; use a smaller --batch-size."
)


def own_notes(record: DiagnosisRecord, diagnosis: Diagnosis) -> list[str]:
    """Return what was seen of a user's function; nothing for another loader."""
    seen = record.observed
    if seen is None:
        return []
    lines = [_opened(seen.opened), *_pipeline(seen)]
    is_measured = any(mistake.tried for mistake in diagnosis.mistakes)
    if diagnosis.gain_of_all is not None and not is_measured:
        lines.append(f"With all mistakes fixed: {diagnosis.gain_of_all:+.0%}, predicted.")
    return lines


def _opened(opened: Opened) -> str:
    if opened.error:
        return f"Which files the function opens is unknown: inotify: {opened.error}."
    text = f"{opened.listed:,} of the listed files were opened while the function was watched"
    if opened.others > 0:
        text += f", and {opened.others:,} others"
    if opened.examples:
        text += f", such as {opened.examples[0]}"
    text += ", by whatever process"
    if opened.others and not opened.listed:
        text += "; storage is that of the listed files, which were not read"
    return f"{text}."


def _pipeline(seen: Observed) -> list[str]:
    if seen.why_no_graph:
        return [f"The stages of its tf.data pipeline could not be measured: {seen.why_no_graph}"]
    if seen.graph is None:
        return []
    slowest = slowest_stage(seen.graph)
    return [_UNTIMED if slowest is None else _slowest(slowest)]


def _slowest(slowest: SlowestStage) -> str:
    return (
        f"The slowest stage is {slowest.stage.method} in {slowest.stage.place}: "
        f"{slowest.work_s * 1e3:.2f} ms per image on one thread, {slowest.share:.0%} of all stages."
    )
