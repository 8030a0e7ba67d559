"""The notes below the tables of a diagnosis: one line each."""

from __future__ import annotations

from feedbench.bench.analysis.estimate import rate_text
from feedbench.bench.analysis.utilization import (
    describe_gpus,
    describe_host,
    gpu_mean,
    utilization_conflict,
)
from feedbench.bench.consumers.device import several_text
from feedbench.bench.diagnose.autotune import autotuned_values
from feedbench.bench.diagnose.ceilings import find_part, median_rate, with_proven_blocks
from feedbench.bench.diagnose.certainty import busy
from feedbench.bench.diagnose.fixed import comparison_text
from feedbench.bench.diagnose.model import Cause
from feedbench.bench.diagnose.own_notes import own_notes
from feedbench.bench.diagnose.predict_cores import CoresNeeded, shares_cores
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.service_notes import service_notes
from feedbench.bench.diagnose.tf_graph.derive import graph_of
from feedbench.bench.diagnose.tf_graph.threads import is_timed
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.record import CacheState
from feedbench.bench.report.table import bytes_text

_STATES: tuple[CacheState, ...] = ("warm", "cold")
_ALIKE = 0.01  # two rates that differ less need no explanation: a convention
_VISIBLE = 0.0005  # a smaller share would be printed as 0.0%
_OVERLAP = (
    " They overlap: idle time that disappears only without several of them is divided among these."
)


def notes(record: DiagnosisRecord, diagnosis: Diagnosis) -> list[str]:
    """Return the notes on what was measured, how, and with which reservations."""
    return [
        *_scope(record),
        *_devices(record),
        *_concurrency(record),
        *_causes(record, diagnosis),
        *filter(None, [end_to_end_note(diagnosis)]),
        *_cores_needed(diagnosis.cores_needed or []),
        *_basis(record, diagnosis),
        *_meters(record, diagnosis),
        *_order_of_reads(record),
        *_autotune(record, diagnosis),
        *own_notes(record, diagnosis),
        *service_notes(record, diagnosis),
        *_reservations(record),
    ]


def end_to_end_note(diagnosis: Diagnosis) -> str:
    """Say which of two rates end to end is meant; empty if they are alike, or unknown."""
    rates = (one.images_per_second for one in diagnosis.ceilings if one.name == "end to end")
    rate, blocks = diagnosis.end_to_end, next(rates, None)
    if rate is None or blocks is None or abs(rate / blocks.value - 1) < _ALIKE:
        return ""
    return (
        f"End to end, causes and predictions start from {rate_text(rate)} images/s: the rate of "
        "the consumer alone without the idle time found in the same rounds. The median of the "
        f"blocks end to end, {rate_text(blocks.value)}, is of a machine whose speed varied."
    )


def _scope(record: DiagnosisRecord) -> list[str]:
    cores = "1 core" if record.cores == 1 else f"{record.cores} cores"
    sample = f" ({record.sampled:,} of them drawn and measured)" if record.sampled else ""
    return [
        f"{record.images:,} images{sample}, {bytes_text(record.encoded_bytes)} in files, "
        f"{bytes_text(record.decoded_bytes)} decoded; "
        f"{record.available_memory_bytes / 1e9:.1f} GB of memory available; {cores}."
    ]


def _devices(record: DiagnosisRecord) -> list[str]:
    if not (several := several_text(record.devices)):
        return []
    batch_size, count = record.spec["batch_size"], len(record.devices)
    return [
        f"{several} train together, each with {batch_size // count:,} of the {batch_size:,} images "
        "of a batch. They run each step together, so all idle equally long."
    ]


def _concurrency(record: DiagnosisRecord) -> list[str]:
    if record.kind is None:
        return []
    count, plural = record.workers, "" if record.workers == 1 else "s"
    how = {
        "in line": "in line, one image after the other",
        "threads": f"on {count} thread{plural}",
        "processes": f"in {count} process{plural and 'es'}",
        "pipelined": f"on {count} thread{plural}, and copies batches on one more",
    }[record.kind]
    lock = ""
    if record.locked is not None:
        lock = f"; its threads held Python's lock {record.locked:.0%} of the time"
    return [f"{record.loader} works {how}{lock}."]


def cause_text(record: DiagnosisRecord, cause: Cause) -> str:
    """Return a cause of the stall in words.

    What has no part of its own in a user's function are the pipeline's stages, if these were
    timed.
    """
    graph = graph_of(record)
    if cause == "unexplained" and graph is not None and is_timed(graph):
        return "the pipeline's stages"
    return cause


def _causes(record: DiagnosisRecord, diagnosis: Diagnosis) -> list[str]:
    if not diagnosis.shares:
        return []
    parts = [
        f"{cause_text(record, part.cause)} {part.stall:.1%}"
        for part in diagnosis.shares
        if part.stall >= _VISIBLE
    ]
    return [
        "Causes of the stall, by the idle time that disappears with each: "
        f"{', '.join(parts) or 'none'}."
        f"{_OVERLAP if len(parts) > 1 else ''}"
    ]


def _cores_needed(needs: list[CoresNeeded]) -> list[str]:
    if not needs:
        return []
    first, *others = needs
    more = "".join(f", {need.cores} for {need.accelerators}" for need in others)
    return [
        f"CPU cores needed with this loader: {first.cores} for {first.accelerators} accelerator of "
        f"this kind{more}."
    ]


def _basis(record: DiagnosisRecord, diagnosis: Diagnosis) -> list[str]:
    """Return on what the predictions rest."""
    lines = []
    if diagnosis.kappa is not None and diagnosis.predictions:
        lines.append(f"Predictions: {_overlap_text(diagnosis.kappa)}, as measured end to end.")
    if shares_cores(record):
        lines.append("Loader and trainer share these cores.")
    return lines


def _overlap_text(kappa: float) -> str:
    """Return how loader and accelerator share the time of an image."""
    if kappa == 0:
        return "loader and accelerator work at the same time"
    return f"an image takes the longer of loader and accelerator, plus {kappa:.0%} of the shorter"


def _meters(record: DiagnosisRecord, diagnosis: Diagnosis) -> list[str]:
    """Return what machine and GPUs did end to end, and which of two contradictions to believe."""
    part = find_part(record, "end to end")
    if part is None or diagnosis.stall is None:
        return []
    blocks = with_proven_blocks(part).blocks
    wait_s = sum(sum(block.wait_s) for block in blocks)
    wait_share = wait_s / sum(block.seconds for block in blocks)
    busy, used = gpu_mean(blocks, "utilization"), gpu_mean(blocks, "multiprocessors")
    conclusion = utilization_conflict(wait_share, diagnosis.stall.value, busy, used)
    lines = [describe_host(blocks, "end to end"), *describe_gpus(blocks, "end to end"), conclusion]
    return [line for line in lines if line]


def _order_of_reads(record: DiagnosisRecord) -> list[str]:
    """Return what reading whole shards in their order would give."""
    lines = []
    for state in _STATES:
        in_order = find_part(record, "storage in order", state)
        at_random = find_part(record, "storage", state, 1)
        if in_order is not None and at_random is not None:
            rate, other = median_rate(in_order), median_rate(at_random)
            lines.append(
                f"Shards, {state}, one read at a time: {rate_text(rate)} images/s in their order, "
                f"{rate_text(other)} at random, which is what every loader here does."
            )
    return lines


def _autotune(record: DiagnosisRecord, diagnosis: Diagnosis) -> list[str]:
    lines = []
    nodes = record.autotuned or []
    if values := autotuned_values(nodes):
        buffered_mb = sum(node.buffered_bytes for node in nodes) / 1e6
        lines.append(f"AUTOTUNE chose {', '.join(values)}; {buffered_mb:.0f} MB are buffered.")
    if diagnosis.fixed is not None:
        lines.append(comparison_text(diagnosis.fixed))
    return lines


def _outpaces_storage(record: DiagnosisRecord, state: CacheState) -> bool:
    loader, storage = find_part(record, "loader", state), find_part(record, "storage", state)
    if loader is None or storage is None:
        return False
    return median_rate(loader) > median_rate(storage)


def _reservations(record: DiagnosisRecord) -> list[str]:
    lines = [
        f"Other programs used {text} meanwhile: these are the rates of a busy machine."
        for text in filter(None, [busy(record)])
    ]
    lines += [
        f"Storage, {state}: the loader reads faster than storage alone was measured to deliver, so "
        "that rate is a lower bound."
        for state in _STATES
        if _outpaces_storage(record, state)
    ]
    if not record.on_gpu or record.consumer != "train":
        lines.append("The copy to the device was not measured: no GPU receives the batches.")
    if record.apart:
        lines.append(
            "Two trainers did not fit into memory together, so the consumer was measured first; "
            "the interval of the stall does not include drift between the two."
        )
    if record.not_cold:
        reason = record.not_cold.removeprefix("--cache-state cold: ").removesuffix(".")
        lines.append(f"Nothing was measured cold: {reason}.")
    return lines
