"""Notes on a tf.data service: how many workers are needed, and what crosses the network."""

from __future__ import annotations

from math import ceil

from feedbench.bench.analysis.estimate import rate_text
from feedbench.bench.diagnose.ceilings import find_part, median_rate, with_proven_blocks
from feedbench.bench.diagnose.predict_service import WorkersNeeded
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.verdict import Diagnosis, consumer_name
from feedbench.loaders import find_loader, parse_settings


def service_notes(record: DiagnosisRecord, diagnosis: Diagnosis) -> list[str]:
    """Return what is to be said of a service; nothing for another loader."""
    if record.service_workers is None:
        return []
    needed = diagnosis.workers_needed
    lines = [_needed(record, needed)] if needed is not None else []
    return [*lines, *_traffic(record), *_not_once(record)]


def _needed(record: DiagnosisRecord, needed: WorkersNeeded) -> str:
    """Return how many workers keep the consumer busy, or that none do."""
    consumer = find_part(record, "consumer")
    takes = "" if consumer is None else f" ({rate_text(median_rate(consumer))} images/s)"
    name = f"{consumer_name(record)}{takes}"
    if not needed.carries:
        enough = ceil(needed.network.value / needed.rate.value)
        most = needed.network.high
        unsure = consumer is not None and (most or 0) >= median_rate(consumer)
        none = "It is not certain that any number" if unsure else "No number"
        return (
            f"{none} of service workers keeps {name} busy: this network carries "
            f"{rate_text(needed.network)} images/s, for which {_workers(enough)} enough. One makes "
            f"{rate_text(needed.rate)} images/s."
        )
    interval = "" if needed.low is None else f" [{needed.low}, {needed.high}]"
    return (
        f"Service workers needed to keep {name} busy: {needed.needed}{interval}; one makes "
        f"{rate_text(needed.rate)} images/s. Assumed: {_assumption(record, needed.running)}, and "
        "storage and network carry them."
    )


def _workers(count: int) -> str:
    return "1 worker is" if count == 1 else f"{count} workers are"


def _assumption(record: DiagnosisRecord, running: int) -> str:
    if record.settings.get("service") is not None:
        return f"each is as fast as {'the one' if running == 1 else f'the {running}'} measured"
    share = "" if running == 1 else f"1/{running} of "
    return f"each has {share}a machine like this one for itself"


def _traffic(record: DiagnosisRecord) -> list[str]:
    """Return the bytes per image, end to end."""
    part = find_part(record, "end to end")
    blocks = with_proven_blocks(part).blocks if part else []
    received, sent = (
        [getattr(one, name) for one in blocks] for name in ("received_bytes", "sent_bytes")
    )
    if not blocks or None in received or None in sent:
        return []
    images, seconds = sum(one.images for one in blocks), sum(one.seconds for one in blocks)
    return [
        f"Network, end to end: {sum(received) / images / 1e3:,.1f} kB per image received, "
        f"{sum(sent) / images:,.0f} bytes sent; {sum(received) / seconds / 1e6:,.0f} MB/s."
    ]


def _not_once(record: DiagnosisRecord) -> list[str]:
    loader = find_loader(record.loader)
    reason = loader.why_not_once(parse_settings(loader, record.settings))
    return [f"Rows do not come once per epoch: {reason}."] if reason else []
