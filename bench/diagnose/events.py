"""What a diagnosis tells a progress display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from feedbench.bench.diagnose.record import DiagnosisRecord, Part

EventKind = Literal["starting", "started", "timing", "timed", "round", "failed", "note"]


@dataclass(frozen=True)
class DiagnosisEvent:
    """Progress of a diagnosis.

    Attributes:
        kind: what happens, or has just happened: "timing" is sent before a block, and "timed" after
            it. No block is timed while the callback runs.
        text: what the process measures that starts or has started, the failure, or the note.
        record: all that is measured so far.
        processes_left: number of processes that are not started, as far as they are known.
        more_may_come: whether there may be others: variants of a user's pipeline, whose stages are
            not known yet.
        round: index of the round, from 0; None while processes start.
        part: that is timed.
        next_part: that is timed after it in this round; None for the last.
    """

    kind: EventKind
    record: DiagnosisRecord
    text: str = ""
    processes_left: int = 0
    more_may_come: bool = False
    round: int | None = None
    part: Part | None = None
    next_part: Part | None = None


OnEvent = Callable[[DiagnosisEvent], None]
