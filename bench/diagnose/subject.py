"""The headings of a diagnosis' pictures: what it is about."""

from __future__ import annotations

from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.verdict import consumer_name
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Block
from feedbench.bench.report.subject import Subject, step_seconds


def diagnosed(record: DiagnosisRecord) -> Subject:
    """Return the loader of a diagnosis, and what it feeds."""
    spec, consumer = record.spec, consumer_name(record)
    return Subject(
        loader=str(Choice(loader=record.loader, settings=record.settings)),
        consumer="" if record.consumer == "drain" else consumer,
        conditions=(
            f"{record.images:,} images → {spec['image_size']} px, batch {spec['batch_size']} → "
            f"{consumer}, {record.cache_state} files"
        ),
        seconds_per_image=step_seconds(record.accelerator, spec),
    )


def end_to_end(record: DiagnosisRecord) -> list[Block]:
    """Return the blocks in which the loader fed the consumer; none if it was not timed."""
    return next((part.blocks for part in record.parts if part.name == "end to end"), [])


def track_name(record: DiagnosisRecord) -> str:
    """Return the name that these blocks have in a trace."""
    return f"{Choice(loader=record.loader, settings=record.settings)}, end to end"
